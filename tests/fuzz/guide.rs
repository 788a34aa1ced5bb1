//! Which inputs led the program where none had led it before, in a build that counts.
//!
//! `-C instrument-coverage` of the stable compiler keeps a counter for each branch in the section `__llvm_prf_cnts`. LLVM's
//! tools read them after the end of a program; here they are read while it runs, through `/proc/self/mem`, which needs no
//! unsafe code.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

const SECTION: &[u8] = b"__llvm_prf_cnts\0";
const COUNTER_BYTES: usize = 8;

pub(crate) struct Guide {
    memory: File,
    /// Of the counters, in this process.
    address: u64,
    counters: Vec<u8>,
    /// By counter: whether anything has been there.
    reached: Vec<bool>,
}

impl Guide {
    /// None in a build that does not count.
    pub(crate) fn of_this_build() -> Option<Self> {
        let (offset, length) = section(&fs::read("/proc/self/exe").ok()?)?;
        let maps = fs::read_to_string("/proc/self/maps").ok()?;
        // The program itself is mapped first, and all of it moved by as much.
        let base = u64::from_str_radix(maps.split('-').next()?, 16).ok()?;
        let memory = File::open("/proc/self/mem").ok()?;
        let reached = vec![false; length / COUNTER_BYTES];
        Some(Self { memory, address: base + offset, counters: vec![0; length], reached })
    }

    /// How many places were reached since the last call that never were before.
    pub(crate) fn news(&mut self) -> usize {
        self.memory.read_exact_at(&mut self.counters, self.address).expect("the counters of this process");
        let mut news = 0;
        for (count, reached) in self.counters.chunks_exact(COUNTER_BYTES).zip(&mut self.reached) {
            let first = !*reached && count != [0; COUNTER_BYTES];
            *reached |= first;
            news += usize::from(first);
        }
        news
    }
}

/// Where the counters lie in a 64-bit ELF file as it is mapped, and how many bytes they take.
fn section(elf: &[u8]) -> Option<(u64, usize)> {
    let number = |at: usize, bytes: usize| {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(elf.get(at..at + bytes)?);
        Some(u64::from_le_bytes(number))
    };
    let place = |at: usize, bytes: usize| usize::try_from(number(at, bytes)?).ok();
    let (headers, size, count, names) = (place(0x28, 8)?, place(0x3a, 2)?, place(0x3c, 2)?, place(0x3e, 2)?);
    let names = place(headers + size * names + 0x18, 8)?;
    let header = |number| headers + size * number;
    let ours = (0..count).map(header).find(|header| {
        let name = place(*header, 4).and_then(|name| elf.get(names + name..));
        name.is_some_and(|name| name.starts_with(SECTION))
    })?;
    Some((number(ours + 0x10, 8)?, place(ours + 0x20, 8)?))
}
