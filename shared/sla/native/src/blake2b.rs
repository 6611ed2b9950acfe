//! BLAKE2b (RFC 7693) without a key: what `hashlib.blake2b(text, digest_size=n)` gives. Only what ids need of it.

const IV: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
const BLOCK: usize = 128;

fn mix(v: &mut [u64; 16], a: usize, b: usize, c: usize, d: usize, x: u64, y: u64) {
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(x);
    v[d] = (v[d] ^ v[a]).rotate_right(32);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(24);
    v[a] = v[a].wrapping_add(v[b]).wrapping_add(y);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = v[c].wrapping_add(v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(63);
}

fn compress(state: &mut [u64; 8], block: &[u8; BLOCK], taken: u64, last: bool) {
    let mut m = [0u64; 16];
    for (word, bytes) in m.iter_mut().zip(block.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    }
    let mut v = [0u64; 16];
    v[..8].copy_from_slice(state);
    v[8..].copy_from_slice(&IV);
    v[12] ^= taken;
    if last {
        v[14] = !v[14];
    }
    macro_rules! rounds {
        ($($round:literal)*) => {$({
            const S: [usize; 16] = SIGMA[$round % 10];
            mix(&mut v, 0, 4, 8, 12, m[S[0]], m[S[1]]);
            mix(&mut v, 1, 5, 9, 13, m[S[2]], m[S[3]]);
            mix(&mut v, 2, 6, 10, 14, m[S[4]], m[S[5]]);
            mix(&mut v, 3, 7, 11, 15, m[S[6]], m[S[7]]);
            mix(&mut v, 0, 5, 10, 15, m[S[8]], m[S[9]]);
            mix(&mut v, 1, 6, 11, 12, m[S[10]], m[S[11]]);
            mix(&mut v, 2, 7, 8, 13, m[S[12]], m[S[13]]);
            mix(&mut v, 3, 4, 9, 14, m[S[14]], m[S[15]]);
        })*};
    }
    rounds!(0 1 2 3 4 5 6 7 8 9 10 11);
    for i in 0..8 {
        state[i] ^= v[i] ^ v[i + 8];
    }
}

fn digest(text: &[u8], length: u64) -> [u64; 8] {
    let mut state = IV;
    state[0] ^= 0x0101_0000 ^ length;
    let mut taken = 0;
    let mut rest = text;
    while rest.len() > BLOCK {
        let (head, tail) = rest.split_at(BLOCK);
        taken += BLOCK as u64;
        compress(&mut state, head.try_into().expect("a block"), taken, false);
        rest = tail;
    }
    let mut block = [0u8; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    compress(&mut state, &block, taken + rest.len() as u64, true);
    state
}

/// The digest of 8 bytes, as the number that `mark_of` in shared/sla/leaving.py makes of it.
pub fn mark(text: &[u8]) -> u64 {
    digest(text, 8)[0].swap_bytes()
}

/// The digest of 16 bytes, as 32 digits.
pub fn digits(text: &[u8]) -> [u8; 32] {
    let state = digest(text, 16);
    let mut out = [0u8; 32];
    for (i, byte) in state[0].to_le_bytes().into_iter().chain(state[1].to_le_bytes()).enumerate() {
        out[2 * i] = b"0123456789abcdef"[usize::from(byte >> 4)];
        out[2 * i + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn digests_are_those_of_hashlib() {
        // hashlib.blake2b(text, digest_size=16).hexdigest()
        assert_eq!(&super::digits(b""), b"cae66941d9efbd404e4d88758ea67670");
        assert_eq!(&super::digits(b"abc"), b"cf4ab791c62b8d2b2109c90275287816");
        assert_eq!(super::mark(b"abc"), 0xd8bb_14d8_33d5_9559);
    }
}
