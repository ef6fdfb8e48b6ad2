//! The request: no redirects, no proxies, limits on time and bytes. Nothing of the address is in any error.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use crate::error::{Code, SampleError};
use crate::exposition::Dialect;
use crate::limits::IDLE_MAX;
use crate::target::{ScrapeUrl, StartError};

/// Text first: OpenMetrics calls a counter's family otherwise than its samples. Names of any letters, where there are.
const ACCEPTED: &str = "text/plain;version=1.0.0;escaping=allow-utf-8,text/plain;version=0.0.4;q=0.8,\
     application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
     application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

/// Asks one endpoint. Its connection is kept between two samples and closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    url: ScrapeUrl,
    time_max: Duration,
}

/// An answer whose head was read.
pub(crate) struct Answer {
    pub(crate) dialect: Dialect,
    pub(crate) is_gzip: bool,
    response: Response,
    time_max: Duration,
}

impl Http {
    /// Without encryption it needs no certificates of the machine, which a small container may not have.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(url: ScrapeUrl, time_max: Duration) -> Result<Http, StartError> {
        // Whatever the resolver says.
        let localhost =
            [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(|ip: IpAddr| SocketAddr::new(ip, 0));
        let builder = Client::builder();
        let builder = if url.url().scheme() == "https" { builder } else { builder.tls_certs_only([]) };
        let client = builder
            .user_agent(concat!("watertight/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(time_max)
            // Of a request that is dropped meanwhile, too: the connection is opened to its end, for the next one.
            .connect_timeout(time_max)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(1)
            .resolve_to_addrs("localhost", &localhost)
            .referer(false)
            .build()
            .map_err(|error| {
                let first = error.source();
                let causes = std::iter::successors(first, |cause: &&(dyn Error + 'static)| (*cause).source());
                StartError::Tls(causes.map(|cause| format!(": {cause}")).collect())
            })?;
        Ok(Http { client, url, time_max })
    }

    /// Asks, and reads the head of the answer.
    pub(crate) async fn get(&self, bytes_max: usize) -> Result<Answer, SampleError> {
        let request = self.client.get(self.url.url().clone());
        let request = request.header(ACCEPT, ACCEPTED).header(ACCEPT_ENCODING, "gzip");
        let response = request.send().await.map_err(|error| failed(&error, self.time_max))?;
        let status = response.status();
        if status.is_redirection() {
            let detail =
                format!("it answered with a redirect (status {}), which is not followed", status.as_u16());
            return Err(SampleError::new(Code::HttpStatus, detail));
        }
        if status != StatusCode::OK {
            return Err(SampleError::new(
                Code::HttpStatus,
                format!("it answered with status {}", status.as_u16()),
            ));
        }
        let is_gzip = match header(response.headers(), &CONTENT_ENCODING).as_str() {
            "" | "identity" => false,
            "gzip" | "x-gzip" => true,
            _ => {
                return Err(SampleError::new(
                    Code::NotMetrics,
                    "its answer is in an encoding that was not asked for",
                ));
            }
        };
        let content_type = header(response.headers(), &CONTENT_TYPE);
        let dialect = dialect_of(&content_type).ok_or_else(|| {
            SampleError::new(Code::NotMetrics, "the content type of its answer is not that of metrics")
        })?;
        if response.content_length().is_some_and(|bytes| bytes > bytes_max as u64) {
            return Err(too_large(bytes_max));
        }
        Ok(Answer { dialect, is_gzip, response, time_max: self.time_max })
    }
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    pub(crate) async fn piece(
        &mut self,
    ) -> Result<Option<impl std::ops::Deref<Target = [u8]> + use<>>, SampleError> {
        self.response.chunk().await.map_err(|error| failed(&error, self.time_max))
    }
}

/// A header in small letters; empty if it is not there.
fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

/// Which format a content type stands for. A server of files may send none, or `application/octet-stream`.
fn dialect_of(content_type: &str) -> Option<Dialect> {
    let mut parts = content_type.split(';');
    match parts.next().unwrap_or_default().trim() {
        "application/openmetrics-text" => Some(Dialect::OpenMetrics),
        "" | "text/plain" | "application/octet-stream" => Some(Dialect::Text),
        _ => None,
    }
}

pub(crate) fn too_large(bytes_max: usize) -> SampleError {
    SampleError::new(Code::TooLarge, format!("its answer is longer than {bytes_max} bytes"))
}

/// The library's error has the address in it, so it goes no further.
fn failed(error: &reqwest::Error, time_max: Duration) -> SampleError {
    if error.is_timeout() {
        let detail = format!("it did not answer within {} s", time_max.as_secs_f64());
        return SampleError::new(Code::Timeout, detail);
    }
    let detail = if error.is_connect() {
        "there is no connection to it"
    } else {
        "the connection to it broke before the answer was whole"
    };
    SampleError::new(Code::Unreachable, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_the_format() {
        for (content_type, dialect) in [
            ("text/plain; version=0.0.4; charset=utf-8", Some(Dialect::Text)),
            ("", Some(Dialect::Text)),
            ("application/openmetrics-text; version=1.0.0", Some(Dialect::OpenMetrics)),
            ("text/html; charset=utf-8", None),
            ("application/json", None),
            ("application/vnd.google.protobuf; encoding=delimited", None),
        ] {
            assert_eq!(dialect_of(content_type), dialect, "{content_type}");
        }
    }
}
