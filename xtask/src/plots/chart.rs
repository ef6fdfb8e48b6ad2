//! A chart of lines as SVG that is readable on light and on dark ground. Pure.

use std::fmt::Write as _;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 118.0;
const BOTTOM: f64 = 58.0;

/// On a linear axis: at most so many steps.
const STEPS_MAX: f64 = 8.0;

/// Lines differ in colour, in dashes and in the shape of their points, so that colour alone decides nothing. Colours
/// keep a contrast of 4.5 to the ground that they stand on.
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-size:16px;font-weight:600}\
.ground{fill:#fff}.grid{stroke:#d1d9e0;stroke-width:1}.axis{stroke:#59636e;stroke-width:1}\
.line{fill:none;stroke-width:2}.a{stroke:#0550ae}.b{stroke:#9a3412;stroke-dasharray:7 4}\
.c{stroke:#116329;stroke-dasharray:2 4}.p{stroke-dasharray:none;fill:#fff;stroke-width:2}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ground,.p{fill:#0d1117}.grid{stroke:#30363d}.axis{stroke:#9198a1}\
.a{stroke:#79c0ff}.b{stroke:#ffa657}.c{stroke:#7ee787}}";

/// The classes of lines in [`STYLE`], in order.
const CLASSES: [&str; 3] = ["a", "b", "c"];

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// Powers of ten at even distances; values are above 0.
    Log,
}

pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) unit: &'static str,
    pub(super) scale: Scale,
}

pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// At most as many series as there are styles.
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
}

/// Values that are written beside an axis, the first and the last at its ends.
struct Ticks {
    values: Vec<f64>,
    scale: Scale,
}

impl Ticks {
    fn around(values: impl Iterator<Item = f64>, scale: Scale) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        let low = if low.is_finite() { low } else { 1.0 };
        let values = match scale {
            Scale::Log => {
                let first = low.log10().floor() as i32;
                let last = (high.max(low).log10().ceil() as i32).max(first + 1);
                (first..=last).map(|power| 10_f64.powi(power)).collect()
            }
            Scale::Linear => {
                let rough = high.max(1.0) / STEPS_MAX;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0]
                    .map(|factor| factor * power)
                    .into_iter()
                    .find(|step| *step >= rough);
                let step = step.unwrap_or(rough);
                let count = (high / step).ceil().max(1.0) as u32;
                (0..=count).map(|index| f64::from(index) * step).collect()
            }
        };
        Self { values, scale }
    }

    /// Where a value lies, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let at = |value: f64| if self.scale == Scale::Log { value.log10() } else { value };
        let (first, last) =
            (self.values.first().copied().unwrap_or(0.0), self.values.last().copied().unwrap_or(1.0));
        (at(value) - at(first)) / (at(last) - at(first))
    }
}

impl Chart {
    pub(super) fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = Ticks::around(points().map(|point| point.0), self.x.scale);
        let y = Ticks::around(points().map(|point| point.1), self.y.scale);
        let at_x = |value| LEFT + x.share(value) * (WIDTH - LEFT - RIGHT);
        let at_y = |value| HEIGHT - BOTTOM - y.share(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"28\">{title}</text>\n",
            title = escaped(self.title)
        );
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for value in &x.values {
            let at = at_x(*value);
            line(&mut svg, "grid", (at, TOP), (at, bottom));
            text(&mut svg, (at, bottom + 18.0), "middle", &short(*value));
        }
        for value in &y.values {
            let at = at_y(*value);
            line(&mut svg, "grid", (LEFT, at), (right, at));
            text(&mut svg, (LEFT - 8.0, at + 4.0), "end", &short(*value));
        }
        line(&mut svg, "axis", (LEFT, bottom), (right, bottom));
        line(&mut svg, "axis", (LEFT, TOP), (LEFT, bottom));
        text(&mut svg, ((LEFT + right) / 2.0, HEIGHT - 14.0), "middle", &self.x.to_text());
        text(&mut svg, (LEFT, 46.0), "start", &format!("{}:", self.y.to_text()));
        let drawn = self.series.iter().filter(|series| !series.points.is_empty());
        for (index, (series, class)) in drawn.zip(CLASSES).enumerate() {
            let middle = 62.0 + 18.0 * index as f64;
            line(&mut svg, &format!("line {class}"), (LEFT, middle), (LEFT + 34.0, middle));
            mark(&mut svg, class, (LEFT + 17.0, middle), series.name);
            text(&mut svg, (LEFT + 42.0, middle + 4.0), "start", series.name);
            let path: Vec<_> =
                series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
            writeln!(svg, "<polyline class=\"line {class}\" points=\"{}\"/>", path.join(" ")).ok();
            for (x, y) in &series.points {
                let hint = format!("{}, {}: {} {}", series.name, short(*x), short(*y), self.y.unit);
                mark(&mut svg, class, (at_x(*x), at_y(*y)), &hint);
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Axis {
    fn to_text(&self) -> String {
        if self.unit.is_empty() { self.label.to_owned() } else { format!("{}, in {}", self.label, self.unit) }
    }
}

fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(svg, "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>")
        .ok();
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, text: &str) {
    let (x, y) = at;
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text)).ok();
}

/// A point in the shape of its line, with what it stands for.
fn mark(svg: &mut String, class: &str, at: (f64, f64), hint: &str) {
    let (x, y) = at;
    let shape = match class {
        "a" => format!("<circle class=\"p {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\">"),
        "b" => {
            let (left, top) = (x - 3.5, y - 3.5);
            format!("<rect class=\"p {class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"7\" height=\"7\">")
        }
        _ => format!("<path class=\"p {class}\" d=\"M{x:.1} {:.1}l4.5 8h-9z\">", y - 5.0),
    };
    let name = shape[1..].split(' ').next().unwrap_or_default().to_owned();
    writeln!(svg, "{shape}<title>{}</title></{name}>", escaped(hint)).ok();
}

/// Three digits that matter; thousands apart.
fn short(value: f64) -> String {
    if value >= 1000.0 {
        let whole = value.round() as u64;
        let (thousands, rest) = (whole / 1000, whole % 1000);
        return match thousands {
            0..1000 => format!("{thousands},{rest:03}"),
            _ => format!("{},{:03},{rest:03}", thousands / 1000, thousands % 1000),
        };
    }
    let digits = if value >= 100.0 || value == value.trunc() {
        0
    } else if value >= 10.0 {
        1
    } else if value >= 1.0 {
        2
    } else {
        3
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(y: Scale, points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "A <title> & \"more\"",
            x: Axis { label: "subscribers", unit: "", scale: Scale::Log },
            y: Axis { label: "CPU time", unit: "us", scale: y },
            series: vec![
                Series { name: "first", points: points.clone() },
                Series { name: "second", points: points.iter().map(|(x, y)| (*x, y * 2.0)).collect() },
                Series { name: "none", points: Vec::new() },
            ],
        }
    }

    /// The coordinates of all points of the line of this class.
    fn line_of(svg: &str, class: &str) -> Vec<(f64, f64)> {
        let start = format!("<polyline class=\"line {class}\" points=\"");
        let points = svg.split(&start).nth(1).unwrap().split('"').next().unwrap();
        let pair = |text: &str| text.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()));
        points.split(' ').filter_map(pair).collect()
    }

    #[test]
    fn a_chart_is_well_formed_and_says_what_it_shows() {
        for scale in [Scale::Linear, Scale::Log] {
            for points in [vec![(1.0, 35.0), (10.0, 4.0), (10_000.0, 0.03)], vec![(5.0, 5.0)], Vec::new()] {
                let has_lines = !points.is_empty();
                let svg = chart(scale, points).to_svg();
                roxmltree::Document::parse(&svg).unwrap();
                for text in ["A &lt;title&gt; &amp; &quot;more&quot;", "subscribers", "CPU time, in us"] {
                    assert!(svg.contains(text), "{text}: {svg}");
                }
                // A line without points is left out, with its name.
                assert_eq!(svg.contains(">second<"), has_lines, "{svg}");
                assert!(!svg.contains(">none<"), "{svg}");
                assert!(
                    svg.contains("prefers-color-scheme:dark") && !svg.contains("NaN") && !svg.contains("inf")
                );
            }
        }
    }

    #[test]
    fn what_is_more_lies_higher_and_further_right_and_inside() {
        let svg = chart(Scale::Log, vec![(1.0, 2.0), (100.0, 20.0), (10_000.0, 200.0)]).to_svg();
        let line = line_of(&svg, "a");
        assert_eq!(line.len(), 3);
        assert!(line.is_sorted_by(|a, b| a.0 < b.0 && a.1 > b.1), "{line:?}");
        // On a logarithmic axis equal factors are equal distances.
        let (first, second) = (line[1].0 - line[0].0, line[2].0 - line[1].0);
        assert!((first - second).abs() < 0.2, "{line:?}");
        let inside =
            |(x, y): &(f64, f64)| (LEFT..=WIDTH - RIGHT).contains(x) && (TOP..=HEIGHT - BOTTOM).contains(y);
        assert!(line.iter().chain(&line_of(&svg, "b")).all(inside), "{svg}");
    }

    #[test]
    fn numbers_beside_an_axis_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.01, "0.01"), (2.5, "2.5"), (10.0, "10"), (19_000.0, "19,000"), (1e6, "1,000,000")]
        {
            assert_eq!(short(value), text);
        }
    }
}
