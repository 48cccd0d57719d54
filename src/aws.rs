//! AWS, by its SDK: one small adapter a service, none with an opinion.
//!
//! Each method builds a call, makes it, and puts the answer into our words; what an error means is decided by pure
//! functions ([`trouble`]). No SDK type leaves this module. The range is reached through the very same adapters, over
//! another HTTP client ([`Aws::over`]).

mod audit;

mod guardduty;

mod guards;

mod identitycenter;

mod directory;

mod assignments;

mod permissionsets;

mod progress;

mod entitlements;

mod team;

mod organizations;

mod scim;

mod sessions;

mod trails;

mod roles;

mod users;

mod pace;

pub mod trouble;

pub mod wire;

use std::time::Duration;

use aws_config::{AppName, BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, error::CredentialsError};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use jiff::Timestamp;

use crate::cloud::{Clock, Cloud, ConnectError, Trouble, TroubleKind};
use crate::ids::*;
use identitycenter::IdentityCenter;
use roles::Roles;
use trails::Trails;
use users::Users;

pub use sessions::Sessions;

/// AWS with one operator's credentials.
pub struct Aws<K> {
    reader: Reader,
    changer: Changer,
    sessions: Sessions,
    clock: K,
    seen: wire::Seen,
}

/// The reading capability.
pub struct Reader {
    config: SdkConfig,
    organizations: aws_sdk_organizations::Client,
    identity_center: IdentityCenter,
    guardduty: aws_sdk_guardduty::Client,
    analyzer: aws_sdk_accessanalyzer::Client,
    cloudtrail: aws_sdk_cloudtrail::Client,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    trails: Trails,
    users: Users,
    roles: Roles,
}

/// The changing capability.
pub struct Changer {
    organizations: aws_sdk_organizations::Client,
    identity_center: IdentityCenter,
    users: Users,
}

impl Aws<wire::ServerClock> {
    /// The AWS that the environment, the profile and the flags name.
    ///
    /// # Errors
    /// [`ConnectError`]; nothing was asked yet.
    pub async fn connect(
        profile: Option<&str>,
        region: Option<&Region>,
    ) -> Result<Self, ConnectError> {
        let http = wire::https().map_err(ConnectError::Http)?;
        // The retry config is set in code because a bad AWS_MAX_ATTEMPTS makes the loader panic otherwise.
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .retry_config(retries())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(3))
                    // Of the answer alone: waiting for one's turn is no reason to give up.
                    .read_timeout(Duration::from_secs(10))
                    .operation_timeout(Duration::from_secs(45))
                    .build(),
            );
        if let Some(profile) = profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = region {
            loader = loader.region(SdkRegion::new(region.as_str().to_owned()));
        }
        let config = loader.load().await;
        match config.region() {
            None => return Err(ConnectError::NoRegion),
            Some(region) => Region::parse(region.as_ref())?,
        };
        let seen = wire::Seen::default();
        let clock = wire::ServerClock::new(seen.clone());
        Ok(Self::over(config, http, seen, clock))
    }
}

impl<K: Clock> Aws<K> {
    /// Clients of this configuration that speak through this HTTP client, watched.
    pub fn over(config: SdkConfig, http: SharedHttpClient, seen: wire::Seen, clock: K) -> Self {
        let mut builder = config
            .into_builder()
            .http_client(wire::watched(http, seen.clone()));
        // A name of letters alone is always one that the SDK takes.
        builder.set_app_name(AppName::new("quell").ok());
        let config = builder.build();
        let organizations = aws_sdk_organizations::Client::new(&config);
        let identity_center = IdentityCenter::new(&config);
        let users = Users::new(&config);
        let roles = Roles::new(&config);
        Self {
            reader: Reader {
                organizations: organizations.clone(),
                identity_center: identity_center.clone(),
                guardduty: aws_sdk_guardduty::Client::new(&config),
                analyzer: aws_sdk_accessanalyzer::Client::new(&config),
                cloudtrail: aws_sdk_cloudtrail::Client::new(&config),
                iam: aws_sdk_iam::Client::new(&config),
                sts: aws_sdk_sts::Client::new(&config),
                trails: Trails::new(&config),
                users: users.clone(),
                roles,
                config: config.clone(),
            },
            changer: Changer {
                organizations,
                identity_center,
                users,
            },
            sessions: Sessions::new(&config),
            clock,
            seen,
        }
    }
}

/// Attempts with jittered backoff: enough to sit out a throttle, few enough that a dead network is said in seconds.
pub fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(6)
        .with_initial_backoff(Duration::from_millis(250))
        .with_max_backoff(Duration::from_secs(4))
}

impl Reader {
    /// Our credentials' end, and a clear word when there are none: asked first, because the same failure inside a call
    /// looks like a broken connection.
    async fn credentials_end(&self) -> Result<Option<Timestamp>, Trouble> {
        let trouble = |kind, detail: String| Trouble {
            operation: "credentials",
            kind,
            detail,
        };
        let Some(provider) = self.config.credentials_provider() else {
            return Err(trouble(
                TroubleKind::Credentials,
                "no credentials are configured".to_owned(),
            ));
        };
        let credentials = provider.provide_credentials().await.map_err(|error| {
            let none = matches!(error, CredentialsError::CredentialsNotLoaded(_));
            let first = if none {
                "no credentials were found"
            } else {
                "the credentials cannot be used"
            };
            let why = format!("{first} ({})", trouble::chain(&error));
            trouble(TroubleKind::Credentials, why)
        })?;
        Ok(credentials
            .expiry()
            .and_then(|expiry| Timestamp::try_from(expiry).ok()))
    }
}

impl<K: Clock> Cloud for Aws<K> {
    type Read = Reader;
    type Change = Changer;
    type Canaries = Sessions;
    type Clock = K;

    fn read(&self) -> &Reader {
        &self.reader
    }

    fn change(&self) -> &Changer {
        &self.changer
    }

    fn canaries(&self) -> &Sessions {
        &self.sessions
    }

    fn clock(&self) -> &K {
        &self.clock
    }

    fn practice(&self) -> Option<String> {
        self.seen.not_aws()
    }

    fn mixed(&self) -> Option<(String, String)> {
        self.seen.aws().zip(self.seen.not_aws())
    }
}
