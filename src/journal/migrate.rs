//! From an older format to the one that is written.
//!
//! Format 1 has no key check in its header and no approvals in its records; everything else is the same, so that its
//! records are read as they are and written anew. The hashes become others: whoever kept a [`Head`] of the older journal
//! verifies the older file, which stays beside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file_store::{beside, opening, sync_directory};
use super::frame::{frame, walk};
use super::hash::Hashing;
use super::header::Header;
use super::{FileStore, Head, Journal, JournalError, Key, Status, Store, wire};

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migrated {
    /// The format that the journal had.
    pub from: u32,
    /// Records, all of them carried over.
    pub records: u64,
    /// Head of the older journal.
    pub before: Head,
    /// Head of the new one.
    pub after: Head,
    /// Where the older journal lies.
    pub kept: PathBuf,
}

/// Migrates the journal in a file, if it has an older format: the new one takes its name in one step, the older one stays as
/// `FILE.formatN`. `None` = it has the format that is written, and nothing was done.
///
/// # Errors
/// [`JournalError`]; the journal is as it was.
pub fn migrate(path: impl AsRef<Path>, key: Option<&Key>) -> Result<Option<Migrated>, JournalError> {
    let path = path.as_ref();
    fs::metadata(path).map_err(opening)?;
    // No writer comes in between: the lock is held until the end.
    let mut old = FileStore::open(path)?;
    let end = old.len().map_err(opening)?;
    let (header, _) = Header::read(&mut old, end)?;
    if header.format == super::header::FORMAT {
        return Ok(None);
    }
    let fresh = beside(path, "migrating");
    let written = write(&mut old, end, &fresh, key);
    if written.is_err() {
        // Half a journal is of no use; that it cannot be removed does no harm.
        let _ = fs::remove_file(&fresh);
    }
    let (records, before, after) = written?;
    let kept = beside(path, &format!("format{}", header.format));
    let op = |op| move |source| JournalError::of(op, source);
    if !kept.exists() {
        fs::hard_link(path, &kept).map_err(op("keep the older file"))?;
    }
    // The note of the older journal's head is not about the new one; the next writer makes another.
    for note in [beside(&fresh, "head"), beside(path, "head")] {
        match fs::remove_file(note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(op("drop the older head")(error)),
            _ => {}
        }
    }
    fs::rename(&fresh, path).and_then(|()| sync_directory(path)).map_err(op("take its new name"))?;
    Ok(Some(Migrated { from: header.format, records, before, after, kept }))
}

/// Writes all records of the older journal to a new file.
fn write(old: &mut FileStore, end: u64, fresh: &Path, key: Option<&Key>) -> Result<(u64, Head, Head), JournalError> {
    let (header, bytes) = Header::read(old, end)?;
    header.check_key(key)?;
    let hashing = Hashing::new(key);
    let new = Header::new(&header.adapter, &hashing)?;
    let failed = |source| JournalError::of("take a record", source);
    let (mut out, mut status) = (Vec::new(), Status::default());
    let mut head = Head { number: 0, hash: hashing.of(&[&new.encode()]) };
    let mut before = Head { number: 0, hash: hashing.of(&[&bytes]) };
    out.extend(new.encode());
    let _ = fs::remove_file(fresh);
    let mut file = FileStore::open_new(fresh)?;
    walk(old, bytes.len() as u64, before.hash, end, &hashing, |record, place| {
        let out_of_order = |what| JournalError::damaged(record.number, place.at, format!("out of order: {what}"));
        status.take(record.number, record.at, &record.event).map_err(out_of_order)?;
        let unwritable = |what: &dyn ToString| JournalError::Unwritable { what: what.to_string() };
        let payload = wire::encode(record.number, record.at, &record.event).map_err(|error| unwritable(&error))?;
        let (bytes, hash) = frame(&payload, head.hash, &hashing).ok_or_else(|| unwritable(&"it is too long"))?;
        head = Head { number: record.number, hash };
        before = Head { number: record.number, hash: record.hash };
        out.extend(bytes);
        if out.len() > 1 << 20 {
            file.append(&out).map_err(failed)?;
            out.clear();
        }
        Ok(())
    })?;
    file.append(&out).and_then(|()| file.sync()).map_err(failed)?;
    // What takes the place of a journal is read once before it does.
    let after = Journal::read(Box::new(file), key)?.head();
    Ok((head.number, before, after))
}
