//! What a URL of Redis says.

use super::target::Target;
use super::*;

fn target(urls: &[&str]) -> Result<Target, RedisStartError> {
    let schemes = ["redis", "rediss", "redis+sentinel"];
    let urls: Vec<ServerUrl> = urls.iter().map(|url| ServerUrl::new(url, &schemes).unwrap()).collect();
    Target::of(&urls)
}

#[test]
fn a_url_says_server_user_password_and_database() {
    let target = target(&["redis://ada:p%40ss%2Fw@localhost:7000/3"]).unwrap();
    assert_eq!(target.sign_in.username(), Some("ada"));
    assert_eq!(target.sign_in.password(), Some("p@ss/w"));
    assert_eq!(target.sign_in.db(), 3);
    assert_eq!(target.shown, "redis://(secret)@localhost:7000/3");
}

#[test]
fn what_can_never_work_is_refused_at_start() {
    for (urls, error) in [
        (&[][..], RedisStartError::NoUrl),
        (&["redis+sentinel://a:26379/main"], RedisStartError::Sentinel),
        (&["redis+sentinel://a/main", "redis+sentinel://b/main"], RedisStartError::Sentinel),
        (&["redis://a", "redis://b"], RedisStartError::Cluster),
        (&["redis://a/main"], RedisStartError::Database),
        (&["redis://a/-1"], RedisStartError::Database),
        (&["redis://a/99999999999999999999"], RedisStartError::Database),
        (&["redis://:%ff@a"], RedisStartError::NotUtf8),
    ] {
        assert_eq!(target(urls).err(), Some(error), "{urls:?}");
    }
}
