//! Generates the code for `proto/` without protoc, and the descriptor set that reflection serves.

use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<PathBuf> = fs::read_dir("proto/switchgate/v1")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).open_files(&files)?;
    let mut prost = tonic_prost_build::Config::new();
    prost.enable_type_names();
    tonic_prost_build::configure()
        .build_client(true)
        .build_transport(false)
        // They hold passwords; `src/pb.rs` shows the rest.
        .skip_debug(["switchgate.v1.AddNodeRequest"])
        .compile_fds_with_config(compiler.file_descriptor_set(), prost)?;

    // EventService once more, server only: a list of events is made of bytes that all readers share.
    let mut events = protox::Compiler::new(["proto"])?;
    events
        .include_imports(true)
        .open_file("proto/switchgate/v1/event_service.proto")?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("shared");
    fs::create_dir_all(&out)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .out_dir(out)
        .extern_path(
            ".switchgate.v1.ListEventsResponse",
            "crate::grpc::event_service::shared::Listed",
        )
        .extern_path(".switchgate.v1", "crate::pb")
        .codec_path("crate::grpc::event_service::codec::RoomyCodec")
        .compile_fds(events.file_descriptor_set())?;

    // Comments are for rustdoc; on the wire of reflection they would be dead weight.
    let mut bare = protox::Compiler::new(["proto"])?;
    bare.include_imports(true)
        .include_source_info(false)
        .open_files(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?).join("descriptor.bin");
    // As protox has it: the types of prost know not every option, `debug_redact` for one.
    fs::write(out, bare.encode_file_descriptor_set())?;

    println!("cargo:rerun-if-changed=proto");
    Ok(())
}
