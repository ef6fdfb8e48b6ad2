//! Streams under tokens beside anonymous ones: what each costs more in memory and at its connect, what asking again costs
//! while they are open, and how many questions that is.

use std::time::Duration;

use watertight_access::Clock;
use watertight_access::mint::{Content, SigningKey};

use super::super::Bench;
use super::super::failure::{Outcome, While, broken};
use super::super::hub::{HOST, Hub, subscribe_request};
use super::super::process::allow_connections;
use super::super::report::{Figure, Report};
use super::{TURN, gather};

/// What tokens are signed with: nobody else knows this hub.
const SECRET: &str = "only for the hub that this benchmark starts";

/// Streams that come and go before the measurement.
const WARM_UP: usize = 200;

const QUIET: Duration = Duration::from_secs(2);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(20);
const LEDGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked again whether a stream is still allowed.
const INTERVAL: Duration = Duration::from_secs(30);

/// What a stream under a token of its own may cost more than an anonymous one, bytes.
const MAX_BYTES: f64 = 300.0;
/// What asking again may cost, percent of a core.
const MAX_PERCENT: f64 = 5.0;
/// What verifying a token may cost at the connect, CPU us.
const MAX_US: f64 = 60.0;

#[derive(clap::Args, Debug)]
pub(in crate::bench) struct Args {
    /// How many streams
    #[arg(long, short = 'n', default_value_t = 10_000)]
    pub(in crate::bench) subscribers: usize,
    /// How many tokens they share in the last part
    #[arg(long, default_value_t = 100)]
    pub(in crate::bench) tokens: usize,
    /// How long the CPU of open streams is measured, in seconds
    #[arg(long, default_value_t = 60)]
    pub(in crate::bench) seconds: u64,
}

/// What was seen of one hub.
struct Seen {
    bytes: f64,
    connect_us: f64,
    /// Of one core, while all streams were open and idle.
    percent: f64,
    questions: f64,
}

pub(in crate::bench) fn run(bench: &Bench, args: &Args) -> Outcome<Report> {
    if bench.options.url.is_some() {
        return broken("this needs hubs of its own: leave out --url".to_owned());
    }
    allow_connections(args.subscribers as u64)?;
    let interval = format!("{}s", INTERVAL.as_secs());
    let protected = [("token_secret", SECRET), ("stats_public", "true"), ("metrics_public", "true")];
    let asked = [protected.as_slice(), &[("revalidate_interval", &interval)]].concat();
    let unasked = [protected.as_slice(), &[("revalidate_interval", "0")]].concat();

    bench.progress.step("anonymous streams");
    let anonymous = hold(bench, args, &[], |_| subscribe_request("hold", "", None))?;
    let own: Vec<Vec<u8>> = (0..args.subscribers).map(request).collect::<Outcome<_>>()?;
    bench.progress.step("a token each, never asked again");
    let quiet = hold(bench, args, &unasked, |index| own[index % own.len()].clone())?;
    bench.progress.step("a token each");
    let each = hold(bench, args, &asked, |index| own[index % own.len()].clone())?;
    bench.progress.step("shared tokens");
    let tokens = args.tokens.clamp(1, args.subscribers);
    let shared = hold(bench, args, &asked, |index| own[index % tokens].clone())?;

    let mut report = Report::new("access");
    let more = each.bytes - anonymous.bytes;
    report.figure(
        Figure::new("bytes per stream under a token of its own, more than an anonymous one", more, "B")
            .at_most(MAX_BYTES),
    );
    let connect = each.connect_us - anonymous.connect_us;
    report.figure(
        Figure::new("CPU us per connect with a token (HS256), more than without", connect, "us")
            .at_most(MAX_US),
    );
    let percent = each.percent - quiet.percent;
    report.figure(Figure::new("asking again every 30 s, of one core", percent, "%").at_most(MAX_PERCENT));
    let intervals = args.seconds as f64 / INTERVAL.as_secs_f64();
    report.figure(Figure::new(
        format!("questions an interval, {tokens} tokens"),
        shared.questions / intervals,
        "",
    ));
    report.figure(Figure::new("the same, a token each", each.questions / intervals, ""));
    report.notes.push(
        "a question comes 80 to 100 % of the interval after the one before: 1.11 an interval on average"
            .to_owned(),
    );
    Ok(report)
}

/// The head of a subscription with a token of its own.
fn request(index: usize) -> Outcome<Vec<u8>> {
    let now = Clock::system().wall();
    let content = Content {
        subject: Some(format!("user-{index}")),
        subscribe: vec!["sessions/hold".to_owned()],
        issued_at: Some(now),
        expires: now.checked_add(Duration::from_secs(7200)),
        id: Some(format!("0123456789abcdef0123456789abcdef{index:04}")),
        ..Content::default()
    };
    let signed = SigningKey::from_secret(SECRET.as_bytes(), None).and_then(|key| key.mint(&content));
    let token = match signed {
        Ok(token) => token,
        Err(error) => return broken(error.to_string()),
    };
    let head = format!(
        "GET /sessions/hold/events HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    Ok(head.into_bytes())
}

fn hold(
    bench: &Bench,
    args: &Args,
    settings: &[(&str, &str)],
    request: impl Fn(usize) -> Vec<u8>,
) -> Outcome<Seen> {
    let mut hub = Hub::obtain(bench, settings)?;
    drop(gather(bench, hub.address, WARM_UP.min(args.subscribers), 1, &request)?);
    hub.wait_for_live(bench, "subscription", |live| live == 0, LEDGER_TIMEOUT)?;
    let before = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, || Ok(()))?;
    let cpu = hub.process.cpu()?;
    let mut crowd = gather(bench, hub.address, args.subscribers, 1, &request)?;
    hub.wait_for_live(bench, "subscription", |live| live == args.subscribers as u64, LEDGER_TIMEOUT)?;
    let connected = hub.process.cpu()?.saturating_sub(cpu);
    let keep_reading = || crowd.turn(TURN).during("reading heartbeats");
    let after = hub.settled_memory(bench, QUIET, SETTLE_TIMEOUT, keep_reading)?;

    let answers = |hub: &mut Hub| hub.metric("watertight_access_questions_total{answer=\"granted\"}");
    let (cpu, asked) = (hub.process.cpu()?, answers(&mut hub)?);
    let end = bench.clock.now() + Duration::from_secs(args.seconds);
    while bench.clock.now() < end {
        crowd.turn(TURN).during("reading heartbeats")?;
        bench.check()?;
        bench.progress.at(|| format!("{} streams open", crowd.live()));
    }
    let used = hub.process.cpu()?.saturating_sub(cpu);
    let questions = answers(&mut hub)? - asked;
    if crowd.live() != args.subscribers {
        return broken(format!("only {} streams are left: {:?}", crowd.live(), crowd.tally.closing_events));
    }
    let count = args.subscribers as f64;
    Ok(Seen {
        bytes: (after.resident as f64 - before.resident as f64) / count,
        connect_us: connected.as_secs_f64() * 1e6 / count,
        percent: used.as_secs_f64() * 100.0 / args.seconds as f64,
        questions,
    })
}
