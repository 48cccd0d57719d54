//! The HTTP client under the SDK, and what can be learned from watching it: whose host answered, and what time it is
//! there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::{AsyncSleep as _, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::SharedTimeSource;
use aws_smithy_http_client::{Builder, Connector, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use jiff::{SignedDuration, Timestamp};

use crate::aws::pace::Pace;
use crate::cloud::Clock;
use crate::rates;

/// Suffixes of AWS's own hosts, in every partition.
const AWS_HOSTS: &[&str] = &[
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".api.amazonwebservices.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
];

/// Clocks that differ by less than this agree: the `Date` header has whole seconds, and answers travel.
const AGREES: SignedDuration = SignedDuration::from_secs(2);

/// An HTTPS client with the system's roots, the operator's own (`AWS_CA_BUNDLE`, which the SDK ignores) and the proxies
/// of the environment.
///
/// # Errors
/// A lower-case fragment, when the bundle cannot be used.
pub fn https() -> Result<SharedHttpClient, String> {
    let mut trust = tls::TrustStore::default();
    if let Some(path) = std::env::var_os("AWS_CA_BUNDLE") {
        let pem = std::fs::read(&path)
            .map_err(|error| format!("AWS_CA_BUNDLE {}: {error}", path.display()))?;
        trust = trust.with_pem_certificate(pem);
    }
    let context = tls::TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| error.to_string())?;
    // The plain builder has no way to set a proxy, and the SDK reads the environment for its own client only.
    Ok(
        Builder::new().build_with_connector_fn(move |settings, components| {
            let mut builder = Connector::builder()
                .tls_provider(tls::Provider::Rustls(crypto()))
                .tls_context(context.clone());
            builder = builder.proxy_config(ProxyConfig::from_env());
            builder.set_connector_settings(settings.cloned());
            if let Some(components) = components {
                builder.set_sleep_impl(components.sleep_impl());
            }
            builder.build()
        }),
    )
}

#[cfg(feature = "aws-lc")]
fn crypto() -> tls::rustls_provider::CryptoMode {
    tls::rustls_provider::CryptoMode::AwsLc
}

#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
fn crypto() -> tls::rustls_provider::CryptoMode {
    tls::rustls_provider::CryptoMode::Ring
}

/// What was seen on the wire.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Sight>>);

#[derive(Debug, Default)]
struct Sight {
    aws: Option<String>,
    not_aws: Option<String>,
    ahead: SignedDuration,
}

impl Seen {
    /// A host that we talked to and that is not AWS's.
    pub fn not_aws(&self) -> Option<String> {
        self.with(|sight| sight.not_aws.clone())
    }

    /// A host of AWS's that we talked to.
    pub fn aws(&self) -> Option<String> {
        self.with(|sight| sight.aws.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Sight) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn asked(&self, uri: &str) {
        let Ok(uri) = uri.parse::<http::Uri>() else {
            return;
        };
        let host = uri.host().unwrap_or_default();
        let shown = uri
            .authority()
            .map_or(host, http::uri::Authority::as_str)
            .to_owned();
        self.with(|sight| {
            let ours = AWS_HOSTS.iter().any(|suffix| host.ends_with(suffix));
            let of_its_kind = if ours {
                &mut sight.aws
            } else {
                &mut sight.not_aws
            };
            of_its_kind.get_or_insert(shown);
        });
    }

    fn answered(&self, date: Option<&str>) {
        let Some(there) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
            return;
        };
        let ahead = there.timestamp().duration_since(Timestamp::now());
        self.with(|sight| {
            sight.ahead = if ahead.abs() <= AGREES {
                SignedDuration::ZERO
            } else {
                ahead
            }
        });
    }
}

/// The client, watched and paced.
pub fn watched(client: SharedHttpClient, seen: Seen) -> SharedHttpClient {
    SharedHttpClient::new(Watched {
        client,
        seen,
        pace: Pace::default(),
    })
}

#[derive(Debug)]
struct Watched {
    client: SharedHttpClient,
    seen: Seen,
    pace: Pace,
}

#[derive(Debug)]
struct WatchedConnector {
    connector: SharedHttpConnector,
    seen: Seen,
    pace: Pace,
    time: Option<SharedTimeSource>,
    sleep: Option<SharedAsyncSleep>,
}

impl HttpClient for Watched {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        SharedHttpConnector::new(WatchedConnector {
            connector,
            seen: self.seen.clone(),
            pace: self.pace.clone(),
            time: components.time_source(),
            sleep: components.sleep_impl(),
        })
    }
}

impl WatchedConnector {
    /// Our turn, where we have to wait for it.
    fn wait(&self, request: &HttpRequest) -> Option<Sleep> {
        let target = request.headers().get("x-amz-target");
        let signed = request.headers().get("authorization").unwrap_or_default();
        let (whose, service) = scope(signed);
        let rate = rates::of_call(target, service == "sts")?;
        let wait = self.pace.take(rate, whose, self.time.as_ref()?.now());
        (!wait.is_zero()).then(|| self.sleep.as_ref().map(|sleep| sleep.sleep(wait)))?
    }
}

/// The access key, day and Region of a signature, `ASIA…/20261122/eu-west-1`, and its service. A session is in one account.
fn scope(authorization: &str) -> (&str, &str) {
    let credential = authorization.split("Credential=").nth(1);
    let scope = credential.and_then(|rest| rest.split(',').next());
    let scope = scope.map(|scope| scope.trim().trim_end_matches("/aws4_request"));
    scope
        .and_then(|scope| scope.rsplit_once('/'))
        .unwrap_or_default()
}

impl HttpConnector for WatchedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.seen.asked(request.uri());
        let seen = self.seen.clone();
        let wait = self.wait(&request);
        let connector = self.connector.clone();
        HttpConnectorFuture::new(async move {
            if let Some(wait) = wait {
                wait.await;
            }
            let answer = connector.call(request).await?;
            seen.answered(answer.headers().get("date"));
            Ok(answer)
        })
    }
}

/// AWS's clock, as the `Date` of its answers has it (R18): the laptop's may be hours off.
#[derive(Debug, Clone)]
pub struct ServerClock(Seen);

impl ServerClock {
    /// The clock of whoever answers on this wire.
    pub fn new(seen: Seen) -> Self {
        Self(seen)
    }
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let ahead = self.0.with(|sight| sight.ahead);
        Timestamp::now()
            .checked_add(ahead)
            .unwrap_or_else(|_| Timestamp::now())
    }

    async fn sleep(&self, duration: SignedDuration) {
        tokio::time::sleep(Duration::try_from(duration).unwrap_or_default()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aws_is_aws() {
        for (uri, foreign) in [
            ("https://organizations.us-east-1.amazonaws.com/", None),
            ("https://identitystore.cn-north-1.amazonaws.com.cn/", None),
            ("http://127.0.0.1:4566/", Some("127.0.0.1:4566")),
            (
                "https://amazonaws.com.evil.example/",
                Some("amazonaws.com.evil.example"),
            ),
            ("https://evilamazonaws.com/", Some("evilamazonaws.com")),
        ] {
            let seen = Seen::default();
            seen.asked(uri);
            assert_eq!(seen.not_aws().as_deref(), foreign, "{uri}");
            assert_eq!(seen.aws().is_some(), foreign.is_none(), "{uri}");
        }
    }

    #[test]
    fn the_clock_is_the_servers() {
        let seen = Seen::default();
        let there = Timestamp::now() + SignedDuration::from_hours(5);
        seen.answered(Some(
            &jiff::fmt::rfc2822::to_string(&there.to_zoned(jiff::tz::TimeZone::UTC)).unwrap(),
        ));
        let off = ServerClock::new(seen).now().duration_since(there).abs();
        assert!(off < SignedDuration::from_secs(5), "{off:?}");
    }
}
