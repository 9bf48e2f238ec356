#include "framework/report/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <l2o/files/json.hpp>

#include "framework/evaluate/groups.hpp"
#include "framework/evaluate/results.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

using nlohmann::json;

constexpr const char* kStyle = R"(
:root { color-scheme: light }
body { font: 14.5px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; color: #1c1c1c; background: #fff;
       max-width: 1120px; margin: 2em auto; padding: 0 1.2em }
h1 { font-size: 1.6em; margin: 0 } h2 { font-size: 1.15em; margin: 2em 0 .4em } p { margin: .4em 0 }
.facts, figcaption, .note { color: #555 } .note { border-left: 3px solid #E69F00; padding-left: .7em }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6em 0 }
th, td { padding: .25em .6em; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap }
th:first-child, td:first-child { text-align: left; padding-left: 0 } tbody tr:hover { background: #f5f8fa }
th { border-bottom: 2px solid #999; font-weight: 600 }
th button { all: unset; cursor: pointer } th button:focus-visible { outline: 2px solid #0072B2 }
th[aria-sort=ascending] button::after { content: " \2191" } th[aria-sort=descending] button::after { content: " \2193" }
figure { margin: 1em 0 2em } figure svg { width: 100%; height: auto }
figcaption { font-size: .9em } a { color: #0072B2 }
pre { background: #f6f6f6; padding: .8em; overflow-x: auto; font-size: .85em }
@media print { body { max-width: none; margin: 0 } details > pre { display: block } }
)";

// Sorts by data-v, numbers as numbers; a second click turns the order round. Cells without a value go last.
constexpr const char* kScript = R"(
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const th = button.parentNode, body = th.closest("table").tBodies[0], column = th.cellIndex;
  const down = th.getAttribute("aria-sort") === "ascending";
  for (const other of th.parentNode.cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[column].dataset.v;
  const number = text => text === "inf" ? Infinity : text === "-inf" ? -Infinity : Number(text);
  const rows = [...body.rows].sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = column === 0 ? x.localeCompare(y) : number(x) < number(y) ? -1 : number(x) > number(y) ? 1 : 0;
    return down ? -order : order;
  });
  body.append(...rows);
};
)";

// Of pages with groups: who sorts a table sees full names without headings.
constexpr const char* kGroupStyle = R"(tr.group td { font-weight: 600; padding-top: .7em }
.member { padding-left: 1em } .full, table.sorted .member { display: none } table.sorted .full { display: inline }
)";
constexpr const char* kGroupScript = R"(
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const table = button.closest("table");
  table.classList.add("sorted");
  for (const row of table.querySelectorAll("tr.group")) row.remove();
});
)";

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : printable(text)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

/// A cell of a table: what is shown, and the number it is sorted by.
struct Cell {
    Cell(const std::string& words) : text(words), value(words) {}
    Cell(const std::string& words, double number)
        : text(words), value(std::isnan(number) ? "" : fmt::format("{}", number)) {}
    std::string text, value;
    std::string full{};  ///< what is shown in its place where the heading of its group is not
};

/// Headings of groups, and the name in the rows below them.
std::string heading_row(const std::vector<Curve>& shown, std::size_t index, std::size_t columns) {
    if (!begins_group(shown, index)) return "";
    return fmt::format("<tr class=\"group\"><td colspan=\"{}\">{}</td></tr>\n",
                       columns,
                       escaped(group_heading(shown[index])));
}
Cell name_cell(const Curve& curve) {
    Cell cell(curve.contestant);
    if (curve.swept.empty()) return cell;
    cell.full = curve.contestant;
    cell.text = member_text(curve);
    return cell;
}

/// @param rows  one for every entry that is shown
std::string table(const std::vector<std::string>& header,
                  const std::vector<std::vector<Cell>>& rows,
                  const std::vector<Curve>& shown) {
    std::string out = "<div class=\"wide\"><table><thead><tr>";
    for (const std::string& name : header)
        out += "<th scope=\"col\"><button>" + escaped(name) + "</button></th>";
    out += "</tr></thead><tbody>\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
        out += heading_row(shown, i, header.size()) + "<tr>";
        for (const Cell& cell : rows[i]) {
            out += "<td data-v=\"" + escaped(cell.value) + "\">";
            out += cell.full.empty() ? escaped(cell.text)
                                     : "<span class=\"member\">" + escaped(cell.text) +
                                           "</span><span class=\"full\">" + escaped(cell.full) + "</span>";
            out += "</td>";
        }
        out += "</tr>\n";
    }
    return out + "</tbody></table></div>\n";
}

Cell or_dash(const std::string& text, double number) {
    return {text == "-" || std::isnan(number) ? "–" : text, number};
}

Cell finite_share(const Distribution& d) {
    if (d.rows == 0) return {"–", NAN};
    const double share = static_cast<double>(d.finite) / static_cast<double>(d.rows);
    return {percent_text(share), share};
}

Cell evaluations_cell(const Entry& entry) {
    if (!entry.is_trained()) return {"–", 0};
    const double all = entry.training_evaluations;
    return {std::isnan(all) ? "unknown" : number_text(all), all};
}

std::string results_table(const Results& results) {
    const Judging& judging = results.judging;
    const bool is_higher_better = judging.is_higher_better();
    const std::vector<Entry> entries = entries_of(results.curves);
    const std::vector<Curve> shown = curves_of(entries, results.curves);
    const bool has_seeds = !seeds_legend(entries).empty();
    std::vector<std::string> header{"contestant",
                                    judging.centre_name(),
                                    "10–90 %",
                                    "finite",
                                    "evaluations",
                                    "time per solve",
                                    "training",
                                    "training evaluations"};
    if (has_seeds) header.emplace_back("seeds");
    std::vector<std::vector<Cell>> rows;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Curve& curve = shown[i];
        const Distribution& d = curve.distributions[shown_metric(curve.metrics, judging.metric)].back();
        const double evaluations = curve.evaluations.back();
        rows.push_back(
            {name_cell(curve),
             or_dash(value_text(judging.centre_of(d), is_higher_better), judging.centre_of(d)),
             or_dash(band_text(d, is_higher_better, " … "), d.q10),
             finite_share(d),
             {evaluations_text({evaluations, curve.values.back(), curve.gradients.back()}), evaluations},
             {time_of_solve_text(curve), curve.seconds.back()},
             {training_text(curve) == "-" ? "–" : training_text(curve), curve.training_seconds},
             evaluations_cell(entries[i])});
        if (has_seeds)
            rows.back().push_back(or_dash(seeds_text(entries[i], results.curves, judging, " … "),
                                          static_cast<double>(entries[i].members.size())));
    }
    return table(header, rows, shown);
}

std::string comparison_section(const Results& results) {
    const Judging& judging = results.judging;
    const std::vector<Comparison> comparisons = compare(results.curves, judging, judging.metric);
    const bool has_target = !results.curves.front().reached.empty();
    if (comparisons.empty()) return "";
    const std::vector<Curve> shown = curves_of(entries_of(results.curves), results.curves);
    const std::vector<Arrival> ways =
        has_target ? arrivals(results.curves, judging) : std::vector<Arrival>(shown.size());
    std::vector<std::vector<Cell>> rows;
    for (std::size_t i = 0; i < shown.size(); ++i) {
        std::vector<Cell> row{name_cell(shown[i])};
        const Comparison* found = nullptr;
        for (const Comparison& comparison : comparisons) {
            if (comparison.contestant == shown[i].contestant) found = &comparison;
        }
        if (found != nullptr) {
            row.insert(row.end(),
                       {{number_text(found->difference), found->difference},
                        {interval_text(found->interval, " … "), found->interval.low},
                        {percent_text(found->better), found->better},
                        {p_text(found->p_holm), found->p_holm}});
        } else {
            row.insert(row.end(), 4, Cell("–", NAN));
        }
        if (has_target) {
            row.insert(row.end(),
                       {{percent_text(ways[i].share), ways[i].share},
                        or_dash(count_text(ways[i].iterations), ways[i].iterations),
                        or_dash(count_text(ways[i].evaluations), ways[i].evaluations),
                        or_dash(duration_text(ways[i].seconds), ways[i].seconds),
                        or_dash(break_even_text(ways[i].break_even), ways[i].break_even),
                        or_dash(break_even_text(ways[i].break_even_by_evaluations),
                                ways[i].break_even_by_evaluations)});
        }
        rows.push_back(std::move(row));
    }
    std::vector<std::string> header{"contestant", "difference", "95 %", "better", "p (Holm)"};
    if (has_target)
        header.insert(header.end(),
                      {"reached", "iterations", "evaluations", "time", "break-even", "by evaluations"});
    std::string out = "<h2>Against " + escaped(judging.reference) + "</h2>\n" + table(header, rows, shown);
    const bool is_over_seeds = std::ranges::any_of(comparisons, &Comparison::is_over_seeds);
    out += fmt::format(
        "<p class=\"facts\">Difference: median of {}{} less that of {}, paired on {}; 95 % {}. "
        "Better: share of the pairs, equal ones count half. p: {}, two-sided; Holm's "
        "correction for {} comparison{}.",
        escaped(judging.metric),
        judging.is_ratio() ? ", row by row," : "",
        escaped(judging.reference),
        pairs_text(comparisons, judging),
        is_over_seeds ? "interval that holds both that of t, over training seeds, and the bootstrapped one, "
                        "over instances"
                      : "bootstrap interval",
        is_over_seeds
            ? "the larger of Welch's t-test over training seeds and Wilcoxon's signed-rank test over "
              "instances"
            : "Wilcoxon's signed-rank test",
        comparisons.size(),
        comparisons.size() == 1 ? "" : "s");
    if (has_target) {
        out += fmt::format(
            " Reached: share of the solves that arrive, which is {}{}; iterations, evaluations and time to "
            "there: "
            "median over all solves, – where half of them never arrive. Break-even: solves after which the "
            "time "
            "saved has paid for the training; by evaluations: the same of these. A training costs what it "
            "started from as well.",
            escaped(target_text(judging)),
            escaped(unpaid_text(results.curves, judging)));
    } else {
        out +=
            " When a target was reached is not compared: without one evaluate.target and "
            "evaluate.metrics_every it differs between runs.";
    }
    return out + "</p>\n";
}

/// gnuplot's file as an element of the page.
std::string inline_svg(const std::filesystem::path& file, const std::string& title) {
    std::string svg = read_file(file);
    svg.erase(0, std::min(svg.find("<svg"), svg.size()));
    for (const char* tag : {"title", "desc"}) {
        const auto begin = svg.find(fmt::format("<{}>", tag));
        const std::string end_tag = fmt::format("</{}>", tag);
        const auto end = svg.find(end_tag);
        if (begin != std::string::npos && end != std::string::npos)
            svg.erase(begin, end + end_tag.size() - begin);
    }
    if (svg.starts_with("<svg")) svg.insert(4, " role=\"img\" aria-label=\"" + escaped(title) + "\"");
    return svg;
}

std::string figure_html(const Page& page, const Figure& figure) {
    std::string out = "<figure>\n";
    if (page.note.empty()) out += inline_svg(page.pictures / (figure.name + ".svg"), figure.title);
    out += "<figcaption>" + escaped(figure.caption) + " Files:";
    const std::vector<std::string> types = page.note.empty()
                                               ? std::vector<std::string>{"svg", "pdf", "png", "csv"}
                                               : std::vector<std::string>{"csv"};
    for (const std::string& type : types)
        out += fmt::format(" <a href=\"figures/{0}.{1}\">{1}</a>", figure.name, type);
    return out + "</figcaption></figure>\n";
}

std::string environment_table(const RunRecord& run) {
    std::string out = "<table><tbody>\n";
    json environment;
    try {
        constexpr std::size_t kMaxDepth = 8;  // flatten() recurses
        environment = files::parse_json(run.environment, kMaxDepth, "versions and settings");
    } catch (const files::JsonFault&) {
    }
    if (!environment.is_object()) return "<p>environment.json cannot be read</p>\n";
    const json flat = environment.flatten();
    for (const auto& [key, value] : flat.items()) {
        if (key.empty()) continue;  // of an object without members
        std::string name = key.substr(1);
        for (char& c : name) c = c == '/' ? ' ' : c;
        out += "<tr><td>" + escaped(name) + "</td><td>" +
               escaped(value.is_string() ? value.get<std::string>() : value.dump()) + "</td></tr>\n";
    }
    return out + "</tbody></table>\n";
}

}  // namespace

std::string html_of(const Page& page) {
    const Results& results = page.results;
    const Curve& first = results.curves.front();
    const std::vector<Entry> entries = entries_of(results.curves);
    const std::vector<Curve> shown = curves_of(entries, results.curves);
    const bool are_groups = has_groups(shown);
    std::string names;
    for (const RunRecord& run : page.runs) names += (names.empty() ? "" : ", ") + run.name;
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
        escaped(names) + "</title><style>" + kStyle + (are_groups ? kGroupStyle : "") +
        "</style></head><body>\n";
    out += "<h1>" + escaped(names) + "</h1>\n";
    std::int64_t iterations = 0;
    for (const Curve& curve : results.curves) iterations = std::max(iterations, curve.iteration.back());
    const auto rows = static_cast<std::int64_t>(first.final_rows[0].size());
    out += fmt::format(
        "<p class=\"facts\">{} contestant{} on the same {} solves ({} instance{}, {} start{} each), {} "
        "iterations; {} counts, {} is better.</p>\n",
        shown.size(),
        shown.size() == 1 ? "" : "s",
        rows,
        rows / results.judging.starts,
        rows == results.judging.starts ? "" : "s",
        results.judging.starts,
        results.judging.starts == 1 ? "" : "s",
        iterations,
        escaped(results.judging.metric),
        results.judging.is_higher_better() ? "higher" : "lower");
    if (!page.note.empty()) out += "<p class=\"note\">" + escaped(page.note) + "</p>\n";
    for (const std::string& remark : page.remarks) out += "<p class=\"note\">" + escaped(remark) + ".</p>\n";
    out += "<h2>Results</h2>\n" + results_table(results);
    out += "<p class=\"facts\">" + escaped(time_text(shown)) +
           (page.runs.size() > 1 ? "; of every run on its own machine" : "") + ".</p>\n";
    for (const std::string& text : {seeds_legend(entries), one_seed_text(entries)})
        if (!text.empty()) out += "<p class=\"facts\">" + escaped(text) + ".</p>\n";
    if (const std::string unsolved = unsolved_text(results.curves, results.judging); !unsolved.empty())
        out += "<p class=\"note\">" + escaped(unsolved) + "</p>\n";
    if (const std::string diverged = diverged_caption(results.curves, results.judging); !diverged.empty())
        out += "<p class=\"facts\">" + escaped(diverged) + "</p>\n";
    for (const Curve& curve : shown) {
        for (const std::string& text : {tuned_text(curve), safeguard_text(curve)})
            if (!text.empty()) out += "<p class=\"facts\">" + escaped(text) + ".</p>\n";
    }
    for (const Curve& curve : results.curves) {
        if (!curve.training) continue;
        for (const std::string& remark : remarks_on(*curve.training)) {
            out += "<p class=\"note\">Training of " + escaped(curve.contestant) + ": " + escaped(remark) +
                   ".</p>\n";
        }
    }
    out += comparison_section(results);
    out += "<h2>Figures</h2>\n";
    for (const Figure& figure : page.figures) out += figure_html(page, figure);
    for (const RunRecord& run : page.runs) {
        const std::string folder = run.folder.filename().string();
        out += "<h2>Run " + escaped(folder) + "</h2>\n<details open><summary>Configuration</summary><pre>" +
               escaped(run.config) + "</pre></details>\n<details><summary>Versions and machine</summary>" +
               environment_table(run) + "</details>\n";
    }
    // The groups first: their rows are gone before the others are sorted.
    return out + "<script>" + (are_groups ? kGroupScript : "") + kScript + "</script></body></html>\n";
}

}  // namespace l2o::framework
