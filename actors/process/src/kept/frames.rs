//! What daemon and keeper say to each other: `kind, length, body`.

use super::files::State;
use kilo_ports::sandbox::Usage;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of a body.
const BODY_BYTES_MAX: u32 = 1 << 20;
/// A body that is an output, behind its position; any other is JSON.
const OUTPUT: u8 = b'o';
const WORD: u8 = b'w';

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The first word. The output follows from this position on, as far as it is kept.
    Hold {
        /// That of the folder.
        token: String,
        /// The position.
        from: u64,
    },
    /// End the command and all that it started: SIGTERM, then SIGKILL.
    End {
        /// Milliseconds between the two.
        grace_ms: u64,
    },
    /// A signal for the command.
    Signal(i32),
    /// It is ready: to be remembered.
    Ready,
    /// Say what it uses.
    Usage,
}

/// What the keeper says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// How the process is; the first word, and at each change. One that has ended is the last.
    State(State),
    /// Output and its position.
    Output(u64, Vec<u8>),
    /// What it uses.
    Usage {
        /// Since its start.
        age_ms: u64,
        /// All of the tree.
        usage: Usage,
    },
}

#[derive(Serialize, Deserialize)]
enum Word {
    State(State),
    Usage {
        age_ms: u64,
        processes: u32,
        memory_bytes: u64,
        cpu_ms: u64,
    },
}

async fn write(to: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(5 + body.len());
    frame.push(kind);
    frame.extend((body.len() as u32).to_le_bytes());
    frame.extend(body);
    to.write_all(&frame).await
}

async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let length = from.read_u32_le().await?;
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length as usize];
    from.read_exact(&mut body).await?;
    Ok((kind, body))
}

/// Sends an order.
pub async fn order(to: &mut (impl AsyncWrite + Unpin), order: &Order) -> io::Result<()> {
    write(to, WORD, &serde_json::to_vec(order)?).await
}

/// Takes the next order.
pub async fn next_order(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Order> {
    let (_, body) = read(from).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Sends a report.
pub async fn report(to: &mut (impl AsyncWrite + Unpin), report: &Report) -> io::Result<()> {
    let word = match report {
        Report::Output(position, bytes) => {
            let body = [&position.to_le_bytes(), &**bytes].concat();
            return write(to, OUTPUT, &body).await;
        }
        Report::State(state) => Word::State(state.clone()),
        Report::Usage { age_ms, usage } => Word::Usage {
            age_ms: *age_ms,
            processes: usage.processes,
            memory_bytes: usage.memory_bytes,
            cpu_ms: usage.cpu_ms,
        },
    };
    write(to, WORD, &serde_json::to_vec(&word)?).await
}

/// Takes the next report.
pub async fn next_report(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Report> {
    let (kind, mut body) = read(from).await?;
    if kind == OUTPUT {
        let position = body.first_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
        let position = u64::from_le_bytes(*position);
        body.drain(..8);
        return Ok(Report::Output(position, body));
    }
    Ok(match serde_json::from_slice(&body)? {
        Word::State(state) => Report::State(state),
        Word::Usage {
            age_ms,
            processes,
            memory_bytes,
            cpu_ms,
        } => Report::Usage {
            age_ms,
            usage: Usage {
                processes,
                memory_bytes,
                cpu_ms,
            },
        },
    })
}
