//! An event as it stands in the log, borrowed from its record.

use crate::instant::{self, Ms};
use crate::json::Json;

#[derive(Default)]
pub struct Event<'a> {
    pub id: &'a [u8],
    pub source: &'a [u8],
    pub kind: &'a [u8], // the CloudEvents type
    pub case: &'a [u8], // the CloudEvents subject
    pub vendor: &'a [u8],
    pub service: &'a [u8],
    pub text: &'a [u8], // the time as it was posted; empty where it ends with Z
    pub time: Ms,
    pub content_type: &'a [u8],
    pub content: &'a [u8], // `data`: JSON text of an object, or nothing
    pub role: u8,
}

pub const ROLES: [&[u8]; 3] = [b"vendor", b"customer", b"operator"];
const RESERVED: &[u8] = b"slawatch.";
const TEXT_MAX: usize = 1_000; // of an attribute, in bytes

/// Read the event in a record's value. `None`: it has attributes that few events have, or something is wrong with it.
pub fn read<'a>(value: &'a [u8], event: &mut Event<'a>) -> Option<()> {
    std::str::from_utf8(value).ok()?;
    let mut json = Json::new(value);
    json.members(|json, key| {
        match key {
            b"id" => event.id = json.plain_text()?,
            b"source" => event.source = json.plain_text()?,
            b"type" => event.kind = json.plain_text()?,
            b"time" => event.text = json.plain_text()?,
            b"subject" => event.case = json.plain_text()?,
            b"vendor" => event.vendor = json.plain_text()?,
            b"service" => event.service = json.plain_text()?,
            b"datacontenttype" => event.content_type = json.plain_text()?,
            b"specversion" => return (json.plain_text()? == b"1.0").then_some(()),
            b"slwrole" => {
                let role = json.plain_text()?;
                event.role = ROLES.iter().position(|&known| known == role)? as u8;
            }
            b"data" => {
                event.content = json.value()?;
                return (event.content[0] == b'{').then_some(());
            }
            _ => return None,
        }
        Some(())
    })?;
    json.end()?;
    let texts = [event.id, event.source, event.kind, event.case, event.vendor, event.service, event.text];
    if texts.iter().any(|text| text.is_empty() || text.len() > TEXT_MAX)
        || event.content_type.len() > TEXT_MAX
        || event.kind.starts_with(RESERVED)
    {
        return None;
    }
    event.time = instant::parse(event.text)?;
    if event.text.ends_with(b"Z") {
        event.text = b"";
    }
    Some(())
}

/// A member of an object of JSON.
pub enum Member<'a> {
    Missing, // or null
    Text(&'a [u8]),
    Other,
}

/// What an event's data say of a field. `None`: it is not to be told without making something of it.
pub fn member<'a>(content: &'a [u8], field: &[u8]) -> Option<Member<'a>> {
    let mut found = Member::Missing;
    if content.is_empty() {
        return Some(found);
    }
    Json::new(content).members(|json, key| {
        if key.contains(&b'\\') {
            return None;
        }
        if key != field {
            return json.value().map(|_| ());
        }
        let value = json.value()?;
        found = match value[0] {
            b'"' if value.contains(&b'\\') => return None,
            b'"' => Member::Text(&value[1..value.len() - 1]),
            b'n' => Member::Missing,
            _ => Member::Other,
        };
        Some(())
    })?;
    Some(found)
}
