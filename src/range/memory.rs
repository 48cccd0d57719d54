//! The range as the HTTP client of our own SDK clients: no socket, and a clock that moves when somebody waits.

use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::cloud::Clock;
use crate::ids::Region;
use crate::range::{Range, Time};

/// The time one call takes, on the virtual clock: what a round trip to another continent does.
pub const ROUND_TRIP: SignedDuration = SignedDuration::from_millis(80);

impl HttpClient for Range {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Range {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if self.time != Time::Together {
            // At once, as a request is sent: whoever drops the answer has asked all the same.
            self.advance(ROUND_TRIP);
            return HttpConnectorFuture::ready(self.exchange(request));
        }
        let range = self.clone();
        HttpConnectorFuture::new(async move {
            range.wait(ROUND_TRIP).await;
            range.exchange(request)
        })
    }
}

impl Range {
    fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request
            .try_into_http1x()
            .map_err(|error| ConnectorError::user(error.into()))?;
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        match self.answer(&request) {
            Some(answer) => HttpResponse::try_from(answer.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None)),
            None => Err(ConnectorError::io("the connection was reset".into())),
        }
    }

    /// The SDK configuration of somebody who signs with this access key and talks to this range.
    pub fn sdk_config(
        &self,
        key: &str,
        secret: &str,
        token: Option<&str>,
        region: &Region,
        retries: RetryConfig,
    ) -> SdkConfig {
        // Whoever hands out temporary credentials says when they end.
        let ends = self.with(|state| state.sessions.get(key).and_then(|session| session.expires));
        let token = token.map(str::to_owned);
        let credentials =
            Credentials::new(key, secret, token, ends.map(SystemTime::from), "practice");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(SdkRegion::new(region.as_str().to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(SharedHttpClient::new(self.clone()))
            .endpoint_url("http://practice.quell.example")
            .retry_config(retries)
            // The virtual clock has no timeouts: every wait is over at once.
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(
                aws_config::stalled_stream_protection::StalledStreamProtectionConfig::disabled(),
            )
            // The range's clock has nothing to do with this machine's: that is no skew to be corrected by trying again.
            .disable_clock_skew_correction(true)
            .sleep_impl(SharedAsyncSleep::new(self.clone()))
            .time_source(SharedTimeSource::new(self.clone()))
            .build()
    }
}

/// The SDK's clock is the range's too.
impl TimeSource for Range {
    fn now(&self) -> SystemTime {
        Range::now(self).into()
    }
}

/// The SDK's waits between attempts move the virtual clock like anybody's. Not before they are waited for: every call
/// arms a timeout beside itself that is dropped when the answer comes.
impl AsyncSleep for Range {
    fn sleep(&self, duration: Duration) -> Sleep {
        let range = self.clone();
        let duration = SignedDuration::try_from(duration).unwrap_or_default();
        Sleep::new(async move { range.wait(duration).await })
    }
}

impl Clock for Range {
    fn now(&self) -> Timestamp {
        Range::now(self)
    }

    async fn sleep(&self, duration: SignedDuration) {
        self.wait(duration).await;
    }
}
