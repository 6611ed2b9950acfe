//! Messages that librdkafka has fetched, made into columns by partition (`shared/adapters/kafka/bulk_consumer.py` calls it by ctypes).
//!
//! What is called of librdkafka, and how its messages look, is its public header (rdkafka.h), stable since 1.0.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::{ptr, slice};

const FAILED: i64 = -1;
const NO_KEY: i32 = -1;

/// `rd_kafka_message_t`.
#[repr(C)]
pub struct Message {
    error: c_int,
    topic: *const c_void,
    partition: i32,
    value: *const u8, // where there is an error: its text
    length: usize,
    key: *const u8,
    key_length: usize,
    offset: i64,
    private: *const c_void,
}

/// Functions of librdkafka: `rd_kafka_consume_batch_queue`, `_message_timestamp`, `_message_headers`, `_header_get_all`, `_message_destroy`.
#[repr(C)]
pub struct Calls {
    consume: unsafe extern "C" fn(*mut c_void, c_int, *mut *mut Message, usize) -> isize,
    timestamp: unsafe extern "C" fn(*const Message, *mut c_int) -> i64,
    headers: unsafe extern "C" fn(*const Message, *mut *const c_void) -> c_int,
    header: unsafe extern "C" fn(*const c_void, usize, *mut *const c_char, *mut *const u8, *mut usize) -> c_int,
    destroy: unsafe extern "C" fn(*mut Message),
}

/// Records of one partition.
#[derive(Default)]
struct Columns {
    partition: i32,
    offsets: Vec<i64>,
    stamps: Vec<i64>, // ms since 1970
    ends: Vec<i64>,   // of the values in the block
    block: Vec<u8>,
    key_lengths: Vec<i32>,
    keys: Vec<u8>,
    headers: Vec<u8>, // of each record that has any: its position, how many, and name and value of each, with their lengths
}

/// The same, for Python.
#[repr(C)]
pub struct Part {
    partition: i64,
    count: i64,
    offsets: *const i64,
    stamps: *const i64,
    ends: *const i64,
    block: *const u8,
    block_length: i64,
    key_lengths: *const i32,
    keys: *const u8,
    keys_length: i64,
    headers: *const u8,
    headers_length: i64,
}

/// What was taken; it holds until more is.
#[repr(C)]
pub struct Taken {
    parts: *const Part,
    count: i64,
    error: i64, // of the first message that is one; 0: none is
    text: *const u8,
    text_length: i64,
}

#[derive(Default)]
pub struct Taker {
    messages: Vec<*mut Message>,
    columns: Vec<Columns>, // by number; those from `used` on are of before
    used: usize,
    number_of: HashMap<i32, usize>, // by partition
    parts: Vec<Part>,
    error: (c_int, Vec<u8>),
}

unsafe fn bytes<'a>(at: *const u8, length: usize) -> &'a [u8] {
    if at.is_null() {
        &[]
    } else {
        slice::from_raw_parts(at, length)
    }
}

fn pack(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

impl Columns {
    fn clear(&mut self) {
        self.offsets.clear();
        self.stamps.clear();
        self.ends.clear();
        self.block.clear();
        self.key_lengths.clear();
        self.keys.clear();
        self.headers.clear();
    }

    unsafe fn push(&mut self, message: &Message, calls: &Calls) {
        let mut kind = 0;
        self.stamps.push((calls.timestamp)(message, &mut kind));
        self.block.extend_from_slice(bytes(message.value, message.length));
        self.ends.push(self.block.len() as i64);
        self.key_lengths.push(if message.key.is_null() { NO_KEY } else { message.key_length as i32 });
        self.keys.extend_from_slice(bytes(message.key, message.key_length));
        let mut headers = ptr::null();
        if (calls.headers)(message, &mut headers) == 0 {
            self.push_headers(headers, calls);
        }
        self.offsets.push(message.offset);
    }

    unsafe fn push_headers(&mut self, headers: *const c_void, calls: &Calls) {
        let place = self.headers.len();
        self.headers.extend_from_slice(&(self.offsets.len() as u32).to_le_bytes());
        self.headers.extend_from_slice(&[0; 4]);
        let (mut name, mut value, mut length, mut count) = (ptr::null(), ptr::null(), 0, 0u32);
        while (calls.header)(headers, count as usize, &mut name, &mut value, &mut length) == 0 {
            pack(&mut self.headers, CStr::from_ptr(name).to_bytes());
            pack(&mut self.headers, bytes(value, length));
            count += 1;
        }
        self.headers[place + 4..place + 8].copy_from_slice(&count.to_le_bytes());
    }

    fn part(&self) -> Part {
        Part {
            partition: i64::from(self.partition),
            count: self.offsets.len() as i64,
            offsets: self.offsets.as_ptr(),
            stamps: self.stamps.as_ptr(),
            ends: self.ends.as_ptr(),
            block: self.block.as_ptr(),
            block_length: self.block.len() as i64,
            key_lengths: self.key_lengths.as_ptr(),
            keys: self.keys.as_ptr(),
            keys_length: self.keys.len() as i64,
            headers: self.headers.as_ptr(),
            headers_length: self.headers.len() as i64,
        }
    }
}

impl Taker {
    /// Have messages that are there, or else the first that comes within `timeout` ms and those behind it.
    unsafe fn consume(&mut self, calls: &Calls, queue: *mut c_void, limit: usize, timeout: c_int) {
        self.messages.clear();
        self.messages.reserve(limit);
        self.more(calls, queue, limit, 0);
        if self.messages.is_empty() {
            self.more(calls, queue, 1, timeout);
            if !self.messages.is_empty() {
                self.more(calls, queue, limit - 1, 0);
            }
        }
    }

    unsafe fn more(&mut self, calls: &Calls, queue: *mut c_void, limit: usize, timeout: c_int) {
        let had = self.messages.len();
        let found = (calls.consume)(queue, timeout, self.messages.as_mut_ptr().add(had), limit);
        self.messages.set_len(had + found.max(0) as usize);
    }

    /// The columns of a partition.
    fn of(&mut self, partition: i32) -> usize {
        if let Some(&number) = self.number_of.get(&partition) {
            return number;
        }
        let number = self.used;
        self.used += 1;
        if number == self.columns.len() {
            self.columns.push(Columns::default());
        }
        self.columns[number].clear();
        self.columns[number].partition = partition;
        self.number_of.insert(partition, number);
        number
    }

    unsafe fn sort(&mut self, calls: &Calls) {
        (self.used, self.error) = (0, (0, Vec::new()));
        self.number_of.clear();
        let (mut partition, mut number) = (-1, 0); // a partition's come in long runs
        for at in 0..self.messages.len() {
            let message = self.messages[at];
            let read = &*message;
            if read.error == 0 {
                if read.partition != partition || self.used == 0 {
                    (partition, number) = (read.partition, self.of(read.partition));
                }
                self.columns[number].push(read, calls);
            } else if self.error.0 == 0 {
                self.error = (read.error, bytes(read.value, read.length).to_vec());
            }
            (calls.destroy)(message);
        }
    }

    fn taken(&mut self) -> Taken {
        self.parts = self.columns[..self.used].iter().map(Columns::part).collect();
        Taken {
            parts: self.parts.as_ptr(),
            count: self.parts.len() as i64,
            error: i64::from(self.error.0),
            text: self.error.1.as_ptr(),
            text_length: self.error.1.len() as i64,
        }
    }
}

#[no_mangle]
pub extern "C" fn columns_new() -> *mut Taker {
    Box::into_raw(Box::default())
}

/// # Safety
/// `taker` is of `columns_new`, and not used any more.
#[no_mangle]
pub unsafe extern "C" fn columns_free(taker: *mut Taker) {
    drop(Box::from_raw(taker));
}

/// Take at most `limit` messages, of which the first is waited for `timeout` ms. 0, or that it failed.
///
/// # Safety
/// `taker` is of `columns_new` and used by one thread at a time, `queue` is a queue of librdkafka's whose functions `calls` are.
#[no_mangle]
pub unsafe extern "C" fn columns_take(
    taker: *mut Taker,
    calls: *const Calls,
    queue: *mut c_void,
    limit: i64,
    timeout: i64,
    taken: *mut Taken,
) -> i64 {
    let (taker, calls) = (&mut *taker, &*calls);
    catch_unwind(AssertUnwindSafe(|| {
        taker.consume(calls, queue, limit as usize, timeout as c_int);
        taker.sort(calls);
        *taken = taker.taken();
        0
    }))
    .unwrap_or(FAILED)
}
