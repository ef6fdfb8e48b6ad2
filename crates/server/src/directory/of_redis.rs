//! The directory in Redis: the hash `watertight:owners`, field `deployments/42`, value the user.

use redis::Value;

use super::answer::{Answer, DirectoryError};
use super::question::Question;
use crate::redis::{CommandError, Redis};

/// The hash.
const OWNERS: &str = "watertight:owners";

#[derive(Debug)]
pub(super) struct OfRedis(Redis);

impl OfRedis {
    pub(super) fn new(redis: Redis) -> OfRedis {
        OfRedis(redis)
    }

    pub(super) async fn answer(&self, question: &Question) -> Result<Answer, DirectoryError> {
        let mut command = redis::cmd("HGET");
        command.arg(OWNERS).arg(question.resource.to_string());
        match self.0.command(&command).await {
            Ok(Value::Nil) => Ok(Answer::Unknown),
            Ok(Value::BulkString(owner)) if owner == question.user.as_bytes() => Ok(Answer::Allowed),
            Ok(Value::BulkString(_)) => Ok(Answer::Denied),
            Ok(_) => {
                Err(DirectoryError::NoAnswer("Redis answers HGET with something else than a text".into()))
            }
            Err(CommandError::TimedOut) => Err(DirectoryError::TimedOut),
            Err(CommandError::Unavailable(why)) => Err(DirectoryError::Unreachable(why)),
            Err(CommandError::Refused(code)) => Err(DirectoryError::NoAnswer(refused(&code).into())),
        }
    }
}

/// What is missing, by the code of Redis's refusal.
fn refused(code: &str) -> String {
    let advice = match code {
        "NOPERM" => format!("give the user of redis_url the right to it: ACL SETUSER NAME +hget ~{OWNERS}"),
        "NOAUTH" => "redis_url has no password".to_owned(),
        "WRONGTYPE" => format!("{OWNERS} has to be a hash: HSET {OWNERS} deployments/42 USER"),
        "MOVED" | "ASK" | "CLUSTERDOWN" => "it is a node of a cluster".to_owned(),
        "LOADING" => "it is just starting".to_owned(),
        "MASTERDOWN" => "it is a replica without its master".to_owned(),
        _ => format!("HGET {OWNERS} has to work"),
    };
    format!("Redis refuses HGET {OWNERS} ({code}): {advice}")
}
