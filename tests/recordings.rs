//! The recordings of a real FreeSWITCH: `tests/captures`, or the folder that
//! `SWITCHGATE_CAPTURES` names.

use std::path::{Path, PathBuf};

/// Who wrote a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    FreeSwitch,
    Client,
}

/// One recording, in the chunks that the recorder saw.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) chunks: Vec<(Side, Vec<u8>)>,
}

// === impl Recording ===

impl Recording {
    /// What FreeSWITCH wrote, in chunks.
    pub(crate) fn received(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks
            .iter()
            .filter(|(side, _)| *side == Side::FreeSwitch)
            .map(|(_, bytes)| bytes.as_slice())
    }

    /// What FreeSWITCH wrote, in one piece.
    pub(crate) fn stream(&self) -> Vec<u8> {
        self.received().flatten().copied().collect()
    }
}

/// The folder of the recordings.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("SWITCHGATE_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures"),
        PathBuf::from,
    )
}

/// All recordings of the folder, in the order of their names.
pub(crate) fn all() -> Vec<Recording> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder of recordings can be read")
        .map(|entry| entry.expect("its entries too").path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// One recording.
pub(crate) fn read(path: &Path) -> Recording {
    let file = std::fs::File::open(path).expect("the recording can be opened");
    let bytes = zstd::decode_all(file).expect("the recording is zstd");
    let name = path
        .file_stem()
        .expect("the recording has a name")
        .to_string_lossy()
        .into_owned();
    let chunks = match name.ends_with(".raw") {
        true => vec![(Side::FreeSwitch, bytes)],
        false => records(&bytes),
    };
    Recording { name, chunks }
}

/// Reads records of the form `D T LEN\n`, LEN bytes, `\n`.
fn records(mut bytes: &[u8]) -> Vec<(Side, Vec<u8>)> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let line_end = bytes
            .iter()
            .position(|&byte| byte == b'\n')
            .expect("a record has a line");
        let line = std::str::from_utf8(&bytes[..line_end]).expect("it is text");
        let mut words = line.split(' ');
        let side = match words.next() {
            Some("<") => Side::FreeSwitch,
            Some(">") => Side::Client,
            other => panic!("{other:?} is no direction"),
        };
        let length: usize = words
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a record has a length");
        let data = &bytes[line_end + 1..];
        records.push((side, data[..length].to_vec()));
        bytes = &data[length + 1..];
    }
    records
}
