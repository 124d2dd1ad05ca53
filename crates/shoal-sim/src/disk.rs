//! A disk in memory that fails as disks do: what was not synced is lost or torn at a power cut, a kill may come in the
//! middle of a write, and there may be no room. Never touches the machine's own disk.

use crate::random::Random;
use redb::{Database, StorageBackend};
use shoal_driver::{Store, StoreError};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is written at once, or not at all.
const SECTOR: usize = 512;

/// A disk with one file on it; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    /// What a process reads: everything that was written.
    cached: Vec<u8>,
    /// What a power cut leaves for sure.
    durable: Vec<u8>,
    /// What was written since it was last synced.
    pending: Vec<Write>,
    is_full: bool,
    /// Says that it has synced, and has not: a planted fault.
    lies: bool,
    /// Never loses power, and so need not know what a power cut would leave.
    steady: bool,
    /// Writes until whoever writes is killed.
    fuel: Option<u64>,
    /// Whoever had it open was killed: nothing of theirs comes through any more.
    opened: u64,
    killed: bool,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

impl Write {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(place(*length), 0),
            Self::Bytes(offset, bytes) => {
                let (from, to) = (place(*offset), place(*offset) + bytes.len());
                if file.len() < to {
                    file.resize(to, 0);
                }
                if let Some(target) = file.get_mut(from..to) {
                    target.copy_from_slice(bytes);
                }
            }
        }
    }

    /// Only some of its sectors.
    fn tear(&self, random: &mut Random) -> Vec<Self> {
        let Self::Bytes(offset, bytes) = self else { return vec![self.clone()] };
        let sectors = bytes.chunks(SECTOR).enumerate().filter(|_| random.chance(500));
        sectors.map(|(index, sector)| Self::Bytes(*offset + (index * SECTOR) as u64, sector.to_vec())).collect()
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl Disk {
    /// An empty disk; `lies` when it is one that only says that it has synced.
    #[must_use]
    pub fn new(lies: bool) -> Self {
        let disk = Self::default();
        disk.platter().lies = lies;
        disk
    }

    /// From now on it never loses power.
    pub fn steady(&self) {
        self.platter().steady = true;
    }

    /// The store on it.
    ///
    /// # Errors
    /// When it is full, or what it has is no store.
    pub fn store(&self) -> Result<Store, StoreError> {
        let opened = {
            let mut platter = self.platter();
            platter.opened += 1;
            (platter.killed, platter.fuel) = (false, None);
            platter.opened
        };
        let disk = self.clone();
        let open = move || Ok(Database::builder().create_with_backend(Backend { disk: disk.clone(), opened })?);
        Store::open_with(Path::new("state.redb"), Box::new(open))
    }

    /// Makes it full, or gives it room again.
    pub fn set_full(&self, full: bool) {
        self.platter().is_full = full;
    }

    /// Whether it has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.platter().is_full
    }

    /// Whoever has it open is killed at its so-many-th write from now on.
    pub fn kill_after(&self, writes: u64) {
        self.platter().fuel = Some(writes);
    }

    /// No kill comes any more.
    pub fn spare(&self) {
        self.platter().fuel = None;
    }

    /// Whether the kill has come.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.platter().killed
    }

    /// Whoever has it open was killed: what they wrote stays, and nothing more comes of them.
    pub fn kill(&self) {
        let mut platter = self.platter();
        (platter.killed, platter.fuel) = (true, None);
    }

    /// The power is cut: of what was not synced some is there, in any order, and some only in part.
    pub fn cut(&self, random: &mut Random) {
        self.kill();
        let mut platter = self.platter();
        let pending = std::mem::take(&mut platter.pending);
        let mut file = std::mem::take(&mut platter.durable);
        for write in pending {
            match random.below(3) {
                0 => {}
                1 => write.tear(random).iter().for_each(|torn| torn.apply(&mut file)),
                _ => write.apply(&mut file),
            }
        }
        platter.cached.clone_from(&file);
        platter.durable = file;
    }

    /// The user moves the file away.
    pub fn lose(&self) {
        let mut platter = self.platter();
        platter.cached.clear();
        platter.durable.clear();
        platter.pending.clear();
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file as one process has it open.
#[derive(Debug)]
struct Backend {
    disk: Disk,
    opened: u64,
}

impl Backend {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.platter();
        if platter.killed || platter.opened != self.opened {
            return Err(io::Error::other("killed"));
        }
        Ok(platter)
    }

    fn change(&self, write: Write) -> io::Result<()> {
        let mut platter = self.platter()?;
        if platter.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        match &mut platter.fuel {
            Some(0) => {
                platter.killed = true;
                return Err(io::Error::other("killed"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        write.apply(&mut platter.cached);
        if !platter.steady {
            platter.pending.push(write);
        }
        Ok(())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter()?;
        let from = place(offset);
        let bytes = platter.cached.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Write::Length(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        if !platter.lies {
            let pending = std::mem::take(&mut platter.pending);
            pending.iter().for_each(|write| write.apply(&mut platter.durable));
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Write::Bytes(offset, data.to_vec()))
    }

    fn close(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_survives_any_power_cut_and_what_was_not_is_there_or_not() {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let disk = Disk::new(false);
            let store = disk.store().unwrap();
            store.put("a", &1).unwrap();
            disk.kill_after(random.below(12));
            let put = store.put("a", &2);
            disk.cut(&mut random);
            drop(store);
            let found = disk.store().unwrap().get::<u32>("a").unwrap();
            assert!(found == Some(2) || (put.is_err() && found == Some(1)), "seed {seed}: {put:?}, {found:?}");
        }
    }

    #[test]
    fn a_disk_that_lies_loses_what_was_put() {
        let lost = (0..40).filter(|seed| {
            let disk = Disk::new(true);
            let store = disk.store().unwrap();
            store.put("a", &1).unwrap();
            disk.cut(&mut Random::new(*seed));
            drop(store);
            !matches!(disk.store().map(|store| store.get::<u32>("a")), Ok(Ok(Some(1))))
        });
        assert!(lost.count() > 10);
    }

    #[test]
    fn a_kill_in_the_middle_of_a_write_keeps_what_was_there() {
        for writes in 0..20 {
            let disk = Disk::new(false);
            let store = disk.store().unwrap();
            store.put("a", &1).unwrap();
            disk.kill_after(writes);
            let put = store.put("a", &2);
            disk.kill();
            drop(store);
            let found = disk.store().unwrap().get::<u32>("a").unwrap();
            assert!(
                found == Some(2) || (put.is_err() && found == Some(1)),
                "after {writes} writes: {put:?}, {found:?}"
            );
        }
    }
}
