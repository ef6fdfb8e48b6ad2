//! What URLs of Redis say, and the parts that need no server.

use super::target::{Target, Topology};
use super::*;

mod channels;
mod cluster;
mod positions;
mod sentinel;
mod streams;
mod support;
mod tables;

fn target(urls: &[&str]) -> Result<Target, RedisStartError> {
    let schemes = ["redis", "rediss", "redis+sentinel", "rediss+sentinel"];
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
    assert!(matches!(target.topology, Topology::Server(_)));
}

#[test]
fn urls_of_sentinels_say_the_master_and_those_of_a_cluster_its_servers() {
    let sentinels = target(&["redis+sentinel://:pw@a/main/2", "redis+sentinel://b:7/main/2"]).unwrap();
    assert_eq!((sentinels.sign_in.password(), sentinels.sign_in.db()), (Some("pw"), 2));
    let Topology::Sentinels(servers, master) = sentinels.topology else { panic!("sentinels") };
    assert_eq!((servers.len(), &*master), (2, "main"));
    let cluster = target(&["redis://ada:pw@a", "redis://b:7"]).unwrap();
    assert_eq!((cluster.sign_in.username(), cluster.sign_in.password()), (Some("ada"), Some("pw")));
    let Topology::Cluster(servers) = cluster.topology else { panic!("a cluster") };
    assert_eq!(servers.iter().map(|server| server.host()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(cluster.shown, "redis://(secret)@a,redis://b:7");
}

#[test]
fn what_can_never_work_is_refused_at_start() {
    for (urls, error) in [
        (&[][..], RedisStartError::NoUrl),
        (&["redis+sentinel://a:26379"], RedisStartError::NoMaster),
        (&["redis+sentinel://a:26379/main/x"], RedisStartError::Database),
        (&["redis+sentinel://a/main", "redis+sentinel://b/other"], RedisStartError::Differ),
        (&["redis://:one@a", "redis://:two@b"], RedisStartError::Differ),
        (&["redis://a", "redis://:two@b"], RedisStartError::Differ),
        (&["redis://a/1", "redis://b"], RedisStartError::Differ),
        (&["redis://a/1", "redis://b/1"], RedisStartError::ClusterDatabase),
        (&["redis://a/main"], RedisStartError::Database),
        (&["redis://a/-1"], RedisStartError::Database),
        (&["redis://a/99999999999999999999"], RedisStartError::Database),
        (&["redis://:%ff@a"], RedisStartError::NotUtf8),
    ] {
        assert_eq!(target(urls).err(), Some(error), "{urls:?}");
    }
}

#[test]
fn a_key_has_the_slot_that_redis_says() {
    // From the specification, and from CLUSTER KEYSLOT.
    for (key, slot) in [
        ("123456789", 0x31C3),
        ("foo", 12182),
        ("{user1000}.following", 3443),
        ("{user1000}.followers", 3443),
        ("foo{}{bar}", 8363),
        ("foo{{bar}}zap", 4015),
        ("foo{bar}{zap}", 5061),
        ("", 0),
    ] {
        assert_eq!(servers::slot_of(key.as_bytes()), slot, "{key}");
    }
}
