//! Packs the JSON of models.dev into the form that is compiled in: `pack-catalog api.json catalog.bin`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(json), Some(packed)) = (args.next(), args.next()) else {
        return Err("usage: pack-catalog JSON PACKED".into());
    };
    let bytes = kilo_provider::catalog::pack(&std::fs::read(json)?)?;
    std::fs::write(packed, &bytes)?;
    println!("{} bytes", bytes.len());
    Ok(())
}
