//! The range over a loopback socket, for any AWS SDK or CLI.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::range::Range;

/// More than any request that AWS takes here.
const MOST_BYTES: usize = 1024 * 1024;

/// A socket on the loopback interface, and nowhere else: what listens here gives out credentials to whoever asks.
///
/// # Errors
/// When the port is taken.
pub async fn bind(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Answers until the task is dropped.
pub async fn serve(range: &Range, listener: TcpListener) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        let range = range.clone();
        let service = service_fn(move |request: http::Request<Incoming>| {
            let range = range.clone();
            async move { answer(&range, request).await }
        });
        // A client that breaks its connection is nobody else's trouble.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn answer(
    range: &Range,
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MOST_BYTES)
        .collect()
        .await
        .map_err(io::Error::other)?
        .to_bytes();
    match range.answer(&http::Request::from_parts(head, body)) {
        Some(response) => Ok(response.map(Full::new)),
        // An error here makes hyper close the connection, which is what was arranged.
        None => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    }
}
