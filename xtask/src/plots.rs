//! `cargo xtask plots`: runs the load generator over many sizes and draws what it measured, as SVG into `docs/plots/`.
//! Takes the generator's JSON for granted, and nothing else of it.

mod chart;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::step::{self, Outcome, cargo, root, target_dir};

use chart::{Axis, Chart, Scale, Series};

/// Sizes, and how long each is measured.
struct Plan {
    groups: &'static [u32],
    subscribers: &'static [u32],
    seconds: u32,
}

const LONG: Plan = Plan {
    groups: &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000, 4000, 8000, 10_000],
    subscribers: &[1000, 2000, 4000, 7000, 10_000, 13_000, 16_000, 19_000],
    seconds: 4,
};

/// Whether it works, not what it costs.
const QUICK: Plan = Plan { groups: &[1, 64], subscribers: &[20, 40], seconds: 1 };

/// A group is compared with the raw floor up to this size: the generator then holds it twice.
const COMPARED_MAX: u32 = 8000;

/// Groups below this size cost too little at this pace to be measured.
const PACED_FROM: u32 = 64;
const PACE: &str = "50";

/// Builds the binary, and runs the long form into `docs/plots/`, or the quick one into the target directory.
pub(crate) fn run(quick: bool) -> Outcome {
    let how = if quick { "--all-features" } else { "--release" };
    step::run("the hub", cargo(&["build", "--package", "watertight-cli", how]))?;
    draw(quick)
}

/// The same, with a binary that is built: for the quick form, the one of the tests.
pub(crate) fn draw(quick: bool) -> Outcome {
    let built = target_dir();
    let (profile, plan, folder) = match quick {
        true => ("debug", QUICK, built.join("plots")),
        false => ("release", LONG, root().join("docs/plots")),
    };
    let generator = Generator(built.join(profile).join("watertight"));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    write(&folder.join("delivery.svg"), &delivery(&generator, &plan)?)?;
    write(&folder.join("memory.svg"), &memory(&generator, &plan)?)
}

fn write(path: &Path, chart: &Chart) -> Outcome {
    let svg = chart.to_svg();
    // A browser shows nothing of what is no XML.
    roxmltree::Document::parse(&svg).map_err(|error| format!("{}: {error}", path.display()))?;
    fs::write(path, svg).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("xtask: {}", path.display());
    Ok(())
}

/// CPU time per delivery over the size of the group that a session has.
fn delivery(generator: &Generator, plan: &Plan) -> Result<Chart, String> {
    let (mut flat_out, mut floor, mut paced) = (Vec::new(), Vec::new(), Vec::new());
    for group in plan.groups {
        let (size, seconds) = (group.to_string(), plan.seconds.to_string());
        let common = ["fanout", "-n", &size, "--seconds", &seconds];
        let is_compared = *group <= COMPARED_MAX;
        let compare = if is_compared { &["--compare-floor", "--rounds=1"][..] } else { &[] };
        let figures = generator.run(&[&common[..], &["--rate=max", "--batch=1"], compare].concat())?;
        flat_out.push((f64::from(*group), figures.value("CPU us per delivery")?));
        if is_compared {
            floor.push((f64::from(*group), figures.value("the raw floor's")?));
        }
        if *group >= PACED_FROM {
            let figures = generator.run(&[&common[..], &["--rate", PACE]].concat())?;
            paced.push((f64::from(*group), figures.value("CPU us per delivery")?));
        }
    }
    Ok(Chart {
        title: "CPU time per delivery by size of the group",
        x: Axis { label: "subscribers of the session", unit: "", scale: Scale::Log },
        y: Axis {
            label: "CPU time of the hub per delivery, publish included",
            unit: "us",
            scale: Scale::Log,
        },
        series: vec![
            Series { name: "flat out, one event in each request", points: flat_out },
            Series { name: "50 events per second", points: paced },
            Series { name: "raw floor, flat out (send and nothing else)", points: floor },
        ],
    })
}

/// Memory per subscriber over how many there are.
fn memory(generator: &Generator, plan: &Plan) -> Result<Chart, String> {
    const OVER_HTTP2: &str = "bytes per idle subscriber over HTTP/2";
    const OVER_HTTP1: &str = "bytes per idle subscriber";
    let kinds: [(&str, &[&str], &str); 3] = [
        ("HTTP/1.1", &[], OVER_HTTP1),
        ("HTTP/1.1 over TLS", &["--tls"], OVER_HTTP1),
        ("HTTP/2 over TLS, 10 streams a connection", &["--tls", "--http2", "--streams=10"], OVER_HTTP2),
    ];
    let measure = |options: &[&str], figure: &str| -> Result<Vec<(f64, f64)>, String> {
        let point = |count: &u32| {
            let size = count.to_string();
            let figures = generator.run(&[&["hold", "-n", &size][..], options].concat())?;
            // A page more or less: with few subscribers that is all there is.
            Ok((f64::from(*count), figures.value(figure)?.max(1.0)))
        };
        plan.subscribers.iter().map(point).collect()
    };
    let series = |(name, options, figure)| Ok(Series { name, points: measure(options, figure)? });
    Ok(Chart {
        title: "Memory per idle subscriber",
        x: Axis { label: "subscribers, each of a session of its own", unit: "", scale: Scale::Linear },
        y: Axis { label: "resident memory of the hub per subscriber", unit: "B", scale: Scale::Log },
        series: kinds.into_iter().map(series).collect::<Result<_, String>>()?,
    })
}

/// The binary whose load generator measures.
struct Generator(PathBuf);

/// What a scenario printed.
struct Figures(Value);

impl Generator {
    fn run(&self, arguments: &[&str]) -> Result<Figures, String> {
        println!("xtask: bench {}", arguments.join(" "));
        let mut command = Command::new(&self.0);
        command.arg("bench").args(arguments).arg("--json");
        let output = command.output().map_err(|error| format!("{}: {error}", self.0.display()))?;
        let report = serde_json::from_slice(&output.stdout);
        match (output.status.success(), report) {
            (true, Ok(report)) => Ok(Figures(report)),
            _ => Err(format!("bench {arguments:?}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }
}

impl Figures {
    /// The first whose name begins so.
    fn value(&self, name: &str) -> Result<f64, String> {
        let figures = self.0["figures"].as_array().into_iter().flatten();
        let mut named =
            figures.filter(|figure| figure["name"].as_str().is_some_and(|it| it.starts_with(name)));
        let value = named.next().and_then(|figure| figure["value"].as_f64());
        value.ok_or_else(|| format!("no figure is called {name}: {}", self.0))
    }
}
