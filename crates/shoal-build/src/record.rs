//! Records embedded in an executable: which contracts it serves, and which methods it calls. Never: finds the section
//! in the file; the reader brings the section's bytes.
//!
//! A section is a row of records, one after the other without padding. A record is: 8 bytes `shoal\0v1`, the header's
//! length and the payload's length as 32-bit little-endian numbers, the header, the payload. The header is JSON, the
//! payload a `google.protobuf.FileDescriptorSet`.

const MAGIC: &[u8; 8] = b"shoal\0v1";
const PREFIX_LENGTH: usize = 16;

/// One record of the section `.shoal.contracts` (services that are served) or `.shoal.calls` (methods that are called).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// JSON. In `.shoal.contracts`: `{"package": …, "services": […]}`. In `.shoal.calls`: `{"service": …, "callee": …,
    /// "methods": […]}`.
    pub header: String,
    /// The descriptors, as a serialised `google.protobuf.FileDescriptorSet` without comments.
    pub descriptors: Vec<u8>,
}

/// The records in a section's bytes; stops with a sentence at the first that is damaged.
///
/// # Errors
/// When a record does not start as records do, is cut off, or its header is not UTF-8.
pub fn read_records(mut section: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    while !section.is_empty() {
        let (record, rest) =
            read_record(section).ok_or_else(|| format!("record {} is damaged or of a later version", records.len()))?;
        records.push(record);
        section = rest;
    }
    Ok(records)
}

fn read_record(section: &[u8]) -> Option<(Record, &[u8])> {
    let (prefix, rest) = section.split_at_checked(PREFIX_LENGTH)?;
    let (magic, lengths) = prefix.split_at(MAGIC.len());
    if magic != MAGIC {
        return None;
    }
    let (header_length, payload_length) = lengths.split_at(4);
    let length = |bytes: &[u8]| -> Option<usize> { usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok() };
    let (header, rest) = rest.split_at_checked(length(header_length)?)?;
    let (payload, rest) = rest.split_at_checked(length(payload_length)?)?;
    let record = Record { header: String::from_utf8(header.to_vec()).ok()?, descriptors: payload.to_vec() };
    Some((record, rest))
}

/// A record's bytes, and where in them the descriptors start. `None` when a part is longer than 4 GiB.
pub(crate) fn write_record(header: &str, descriptors: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut bytes = Vec::with_capacity(PREFIX_LENGTH + header.len() + descriptors.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&u32::try_from(header.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(descriptors.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    let start = bytes.len();
    bytes.extend_from_slice(descriptors);
    Some((bytes, start))
}

/// A JSON list of texts that need no escaping: Protobuf names.
pub(crate) fn json_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_in_order() {
        let (first, start) = write_record("{}", b"abc").unwrap();
        let (second, _) = write_record(&json_list(["a", "b"]), b"").unwrap();
        assert_eq!(&first[start..], b"abc");
        let section = [first, second].concat();
        let records = read_records(&section).unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].descriptors, b"abc");
        assert_eq!(records[1].header, r#"["a","b"]"#);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let (record, _) = write_record("{\"a\":1}", b"abcdef").unwrap();
        for length in 1..record.len() {
            assert!(read_records(&record[..length]).is_err(), "{length}");
        }
        let mut far = record.clone();
        far[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_records(&far).is_err());
        assert_eq!(read_records(&[]).unwrap(), []);
    }
}
