//! Where logs of deployments come from.

use std::borrow::Cow;

use super::choice::{Choice, form};
use super::error::Refusal;
use super::kind::{Bounds, Form, Kind, Plain, Raw};

/// Where logs of deployments come from, beside what is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogsSource {
    /// Nowhere else.
    Post,
    /// A channel in Redis.
    RedisPubsub,
    /// A stream in Redis.
    RedisStream,
}

impl Choice for LogsSource {
    const WRITTEN: Form = form(
        "post|redis_pubsub|redis_stream",
        "a source of logs",
        "\"post\", \"redis_pubsub\" or \"redis_stream\"",
    );
    const ALL: &'static [(&'static str, LogsSource)] = &[
        ("post", LogsSource::Post),
        ("redis_pubsub", LogsSource::RedisPubsub),
        ("redis_stream", LogsSource::RedisStream),
    ];
}

/// What stands for the deployment in the name of a channel.
pub(crate) const ID_IN_CHANNEL: &str = "{id}";
/// How many bytes the name of a channel may have, without the deployment's id.
const CHANNEL_BYTES_MAX: usize = 256;

/// The name of a channel, with [`ID_IN_CHANNEL`] in it once.
pub(super) enum ChannelName {}

impl Kind for ChannelName {
    type Value = Cow<'static, str>;
    const FORM: Form = Form {
        value_name: "NAME",
        noun: "the name of a channel",
        advice: "a text with {id} in it once, such as \"deployment:{id}:logs\"",
        unit: None,
        words: "",
    };

    fn read(raw: &Raw, bounds: Option<&Bounds>) -> Result<Cow<'static, str>, Refusal> {
        match raw {
            Raw::Text(text)
                if text.len() <= CHANNEL_BYTES_MAX
                    && !text.contains(char::is_control)
                    && text.matches(ID_IN_CHANNEL).count() == 1 =>
            {
                Ok(Cow::Owned(text.clone()))
            }
            _ => Err(Self::FORM.refuse(bounds)),
        }
    }

    fn plain(value: &Cow<'static, str>) -> Plain {
        Plain::Text(value.clone().into_owned())
    }
}
