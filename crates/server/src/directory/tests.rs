//! The answers that are kept, the questions under way, and the directory of the file.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use watertight_core::{Budget, Owner, Tick};

use super::asking::{Asking, News};
use super::cache::Cache;
use super::question::Question;
use super::*;
use crate::config::{Declared, Deployment, Service};
use crate::resource::ResourceId;

const TTL: Duration = Duration::from_secs(5);

fn id(text: &str) -> ResourceId {
    ResourceId::new(text).unwrap()
}

fn question(user: &str, resource: &str) -> Arc<Question> {
    let resource = Resource::deployment(id(resource));
    Arc::new(Question { user: user.into(), resource, action: Action::Subscribe })
}

fn budget() -> Arc<Budget> {
    Budget::new(1 << 30, 2 << 30)
}

#[test]
fn an_answer_is_kept_for_its_time_and_for_no_longer() {
    let (budget, mut cache) = (budget(), Cache::new(TTL, 100, Tick(0)));
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
    let ada = question("ada", "42");
    cache.put(&ada, (Answer::Allowed, Tick(1_000)), Tick(1_200), charge);
    let get = |cache: &Cache, at| cache.get(&ada, TTL, Tick(at));
    assert_eq!(get(&cache, 1_200), Some(Answer::Allowed));
    assert_eq!(get(&cache, 5_999), Some(Answer::Allowed), "as old as its question");
    assert_eq!(get(&cache, 6_000), None);
    assert_eq!(cache.get(&ada, Duration::from_secs(1), Tick(1_999)), Some(Answer::Allowed));
    assert_eq!(cache.get(&ada, Duration::from_secs(1), Tick(2_000)), None, "a younger one is asked for");
    assert_eq!(cache.get(&ada, Duration::ZERO, Tick(1_000)), None);
    for at in (0..=20_000).step_by(250) {
        cache.sweep(Tick(at));
    }
    assert_eq!((cache.len(), budget.used()), (0, 0), "nothing is left without further questions");
}

#[test]
fn no_more_answers_are_kept_than_the_limit_and_each_is_charged() {
    let (budget, mut cache) = (budget(), Cache::new(TTL, 100, Tick(0)));
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
    for n in 0..1_000 {
        cache.put(&question("ada", &n.to_string()), (Answer::Denied, Tick(0)), Tick(0), charge);
        assert!(cache.len() <= 100, "{}", cache.len());
    }
    assert!(cache.len() >= 50);
    let least = question("ada", "0").bytes() * cache.len();
    assert!(budget.used_by(Owner::Caches) > least, "{} for {}", budget.used(), cache.len());
    drop(cache);
    assert_eq!(budget.used(), 0);
}

#[test]
fn without_room_in_the_budget_an_answer_is_not_kept() {
    let (budget, mut cache) = (Budget::new(1, 1), Cache::new(TTL, 100, Tick(0)));
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
    cache.put(&question("ada", "42"), (Answer::Allowed, Tick(0)), Tick(0), charge);
    assert_eq!(cache.len(), 0);
}

#[test]
fn an_answer_that_replaces_another_is_the_only_one() {
    let (budget, mut cache) = (budget(), Cache::new(TTL, 100, Tick(0)));
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
    let ada = question("ada", "42");
    for (at, answer) in [(0, Answer::Allowed), (4_000, Answer::Denied), (6_000, Answer::Unknown)] {
        cache.put(&ada, (answer, Tick(at)), Tick(at), charge);
        assert_eq!(cache.get(&ada, TTL, Tick(at)), Some(answer));
        assert_eq!(cache.len(), 1);
    }
}

#[test]
fn threat_17_questions_that_read_alike_when_joined_never_share_an_answer() {
    let (budget, mut cache) = (budget(), Cache::new(TTL, 1_000, Tick(0)));
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
    let texts = ["a", "b", "a:b", "a_b", "ab", "a b", "deployments", ":"];
    let mut all: Vec<Arc<Question>> = Vec::new();
    for user in texts {
        for name in texts {
            for resource in [Resource::deployment(id(name)), Resource::service(id(name))] {
                for action in [Action::Subscribe, Action::Publish] {
                    all.push(Arc::new(Question { user: user.into(), resource: resource.clone(), action }));
                }
            }
        }
    }
    for one in &all {
        assert_eq!(cache.get(one, TTL, Tick(0)), None, "{one:?}");
        cache.put(one, (Answer::Allowed, Tick(0)), Tick(0), charge);
    }
    assert_eq!(cache.len(), all.len());
}

#[test]
fn each_sort_of_failure_is_said_once_until_an_answer_comes() {
    let budget = budget();
    let charge = |bytes| budget.try_charge(Owner::Caches, bytes).ok();
    let mut asking = Asking::new(TTL, 100, Tick(0));
    let ada = question("ada", "42");
    let mut settle = |outcome| {
        let (_tell, hear) = watch::channel(None);
        asking.begin(&ada, hear);
        asking.settle((&ada, Tick(0), false), &outcome, Tick(0), 0.0, charge)
    };
    let [late, gone] = [DirectoryError::TimedOut, DirectoryError::Unreachable("refused".into())];
    assert_eq!(settle(Ok(Answer::Denied)), News::None);
    assert_eq!(settle(Err(late.clone())), News::Fails(late.clone()));
    assert_eq!(settle(Err(late.clone())), News::None);
    assert_eq!(settle(Err(gone.clone())), News::Fails(gone.clone()));
    assert_eq!(settle(Err(late.clone())), News::None);
    assert_eq!(settle(Ok(Answer::Denied)), News::Answers);
    assert_eq!(settle(Ok(Answer::Denied)), News::None);
    assert_eq!(settle(Err(late.clone())), News::Fails(late));
}

#[test]
fn no_more_questions_are_under_way_than_there_may_be() {
    let mut asking = Asking::new(TTL, 100, Tick(0));
    for n in 0..3 {
        assert_eq!(asking.admit("ada", Tick(0), 3), Ok(false));
        asking.begin(&question("ada", &n.to_string()), watch::channel(None).1);
    }
    assert_eq!(asking.admit("ada", Tick(0), 3), Err(DirectoryError::Overloaded));
}

#[test]
fn the_file_says_whose_a_deployment_or_a_service_is() {
    let owner = |name: &str| Some(name.to_owned());
    let declared = Declared {
        deployments: [(id("42"), Deployment { owner: owner("ada") })].into(),
        services: [
            (id("api"), Service { owner: owner("ada"), ..Service::default() }),
            (id("host"), Service { host: true, ..Service::default() }),
        ]
        .into(),
    };
    for (user, resource, answer) in [
        ("ada", Resource::deployment(id("42")), Answer::Allowed),
        ("Ada", Resource::deployment(id("42")), Answer::Denied),
        ("", Resource::deployment(id("42")), Answer::Denied),
        ("ada", Resource::deployment(id("43")), Answer::Unknown),
        ("ada", Resource::service(id("42")), Answer::Unknown),
        ("ada", Resource::service(id("api")), Answer::Allowed),
        ("ada", Resource::service(id("host")), Answer::Denied),
    ] {
        assert_eq!(of_file::answer(&declared, user, &resource), answer, "{user} {resource}");
    }
}
