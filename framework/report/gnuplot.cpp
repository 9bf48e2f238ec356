#include "framework/report/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include "framework/store/atomic_file.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

constexpr std::chrono::seconds kTimeLimit{60};

// Okabe & Ito 2008, "Color universal design", without the yellow that vanishes on white. The eighth line
// takes the first colour again, dashed; every line has a marker of its own.
constexpr std::array kColors{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"};
constexpr std::array kDashes{"1", "(8,4)", "(2,3)"};
// gnuplot's point types: open and filled squares, circles, triangles, diamonds, then crosses.
constexpr std::array kMarkers{7, 9, 5, 13, 11, 1, 2, 6, 8, 4, 12, 10};

/// A string of gnuplot that means nothing but itself: what is not a letter, a digit or harmless is an octal
/// number, so that no name is a quote, a format, a macro or a command.
std::string literal(const std::string& text) {
    constexpr std::string_view kHarmless = " _-+.,:;/()<>=!?";
    std::string out = "\"";
    for (const char c : one_line(text)) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (is_plain || kHarmless.find(c) != std::string_view::npos)
            out += c;
        else
            out += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    }
    return out + "\"";
}

/// A label at an axis, which gnuplot takes for a format of the number there.
std::string label_literal(const std::string& text) {
    std::string format;
    for (const char c : text) format += c == '%' ? "%%" : std::string(1, c);
    return literal(format);
}

/// gnuplot's name of the numbers of a series.
std::string block(std::size_t figure, std::size_t series) { return fmt::format("$f{}s{}", figure, series); }

/// The numbers of the figures: CSV files have the names of the series in them, and what gnuplot would make of
/// those is anybody's guess.
std::string blocks(std::size_t number, const Figure& figure) {
    std::string out;
    for (std::size_t i = 0; i < figure.series.size(); ++i) {
        const Series& series = figure.series[i];
        if (series.x.empty()) continue;
        out += block(number, i) + " << END\n";
        for (std::size_t k = 0; k < series.x.size(); ++k) {
            out += fmt::format("{} {}", series.x[k], series.y[k]);
            if (!series.low.empty()) out += fmt::format(" {} {}", series.low[k], series.high[k]);
            out += '\n';
        }
        out += "END\n";
    }
    return out;
}

/// 1, 2, 5 of every decade, where an axis is too short for powers of ten.
std::string narrow_tics(const Figure::Axis& axis) {
    std::string tics;
    for (int exponent = static_cast<int>(std::floor(std::log10(axis.low)));
         exponent <= static_cast<int>(std::ceil(std::log10(axis.high)));
         ++exponent) {
        for (const int digit : {1, 2, 5})
            tics += fmt::format("{}{}e{}", tics.empty() ? "" : ", ", digit, exponent);
    }
    return tics;
}

std::string axis_commands(char name, const Figure::Axis& axis) {
    std::string out = fmt::format("set {0}label {1} noenhanced\nset {0}range [{2}:{3}]\n",
                                  name,
                                  literal(axis.label),
                                  axis.low,
                                  axis.high);
    const double decades = axis.is_log ? std::log10(axis.high / axis.low) : 0;
    if (!axis.is_log)
        return out + fmt::format("unset logscale {0}\nset {0}tics autofreq\nset format {0} '%g'\n", name);
    out += fmt::format("set logscale {}\n", name);
    if (decades < 2.5)
        return out + fmt::format("set {0}tics ({1})\nset format {0} '%g'\n", name, narrow_tics(axis));
    return out + fmt::format("set {0}tics autofreq\nset format {0} '10^{{%T}}'\n", name);
}

bool has_members(const Series& series) { return series.place.members > 1; }

/// The colour of a group, from light to dark over its members.
std::string color(const GroupPlace& place) {
    constexpr double kLightest = 0.45, kDarkest = 0.35;  // chosen: told apart on white, and from black
    const std::string_view pure = kColors[place.group % kColors.size()];
    if (place.members == 1) return std::string(pure);
    const double shade = static_cast<double>(place.member) / static_cast<double>(place.members - 1);
    std::string mixed = "#";
    for (const std::size_t digits : {1, 3, 5}) {
        const double part = std::stoi(std::string(pure.substr(digits, 2)), nullptr, 16);
        const double white = kLightest * std::max(0.0, 1 - 2 * shade),
                     black = kDarkest * std::max(0.0, 2 * shade - 1);
        mixed += fmt::format("{:02X}", std::lround((part + white * (255 - part)) * (1 - black)));
    }
    return mixed;
}

std::string line_style(const GroupPlace& place) {
    return fmt::format("lc rgb '{}' dt {}",
                       color(place),
                       kDashes[(place.group / kColors.size() + place.member) % kDashes.size()]);
}

std::string marker(const GroupPlace& place) {
    return fmt::format("pt {}", kMarkers[(place.members > 1 ? place.member : place.group) % kMarkers.size()]);
}

const std::string& label(const Series& series) { return series.label.empty() ? series.name : series.label; }

/// The parts of the plot command of a figure with lines.
std::string line_plots(std::size_t number, const Figure& figure) {
    std::string bands, lines;
    // Many bands over one another say less than few.
    const std::size_t count = figure.series.size();
    const double opacity = count <= 4 ? 0.16 : count <= 8 ? 0.09 : 0.4 / static_cast<double>(count);
    for (std::size_t i = 0; i < figure.series.size(); ++i) {
        const Series& series = figure.series[i];
        const std::string title = fmt::format("title {} noenhanced", literal(label(series)));
        const std::string style = line_style(series.place), point = marker(series.place);
        if (series.x.empty()) {
            lines += fmt::format(", NaN {} with linespoints {} {} lw 2", title, style, point);
            continue;
        }
        const std::string source = block(number, i);
        if (!series.low.empty()) {
            bands += fmt::format(
                ", {} using 1:(within_y($3)):(within_y($4)) notitle with filledcurves lc rgb '{}' "
                "fs transparent solid {} noborder",
                source,
                color(series.place),
                opacity);
        }
        const bool are_dots = figure.kind == Figure::Kind::kDots && i > 0;
        if (are_dots) {
            lines += fmt::format(", {} using 1:2 {} with points {} {} ps 0.8", source, title, style, point);
        } else if (figure.kind == Figure::Kind::kDots) {
            lines += fmt::format(", {} using 1:2 {} with lines {} lw 2", source, title, style);
        } else {
            lines += fmt::format(", {} using 1:2 {} with linespoints {} {} lw 2 ps 0.7 pointnumber 9",
                                 source,
                                 title,
                                 style,
                                 point);
        }
    }
    return (bands + lines).substr(2);
}

/// Intervals one below the other, from the top, with the names at the axis.
std::string interval_plots(std::size_t number, const Figure& figure) {
    std::string plots;
    const bool are_groups = std::ranges::any_of(figure.series, has_members);
    for (std::size_t i = 0; i < figure.series.size(); ++i) {
        // The lines of the other figures start with the reference; here it is missing.
        const GroupPlace place = are_groups ? figure.series[i].place : GroupPlace{};
        plots += fmt::format(", {} using 1:2:3:4 notitle with xerrorbars lc rgb '{}' {} lw 2 ps 0.9",
                             block(number, i),
                             color(place),
                             marker(place));
    }
    return plots.substr(2);
}

std::string figure_commands(std::size_t number, const Figure& figure) {
    std::string out =
        "\n" + blocks(number, figure) + fmt::format("set title {} noenhanced\n", literal(figure.title));
    out += axis_commands('x', figure.x) + axis_commands('y', figure.y);
    // A band that reaches to rows that diverged, at infinity, goes to the edge.
    out += fmt::format("within_y(v) = v > {1} ? {1} : v > {0} ? v : {0}\n", figure.y.low, figure.y.high);
    const bool are_intervals = figure.kind == Figure::Kind::kIntervals;
    if (are_intervals) {
        std::string names;
        for (std::size_t i = 0; i < figure.series.size(); ++i)
            names += fmt::format("{}{} {}", i > 0 ? ", " : "", label_literal(label(figure.series[i])), i);
        out += fmt::format(
                   "set ytics ({}) noenhanced\nset yrange [{}:{}]\n", names, figure.y.high, figure.y.low) +
               "set arrow 1 from 0, graph 0 to 0, graph 1 nohead lc rgb '#555555' dt (4,4)\n";
    }
    const std::string plot =
        "plot " + (are_intervals ? interval_plots(number, figure) : line_plots(number, figure)) + "\n";
    // In one column of names those of a group stay together.
    const bool are_groups = std::ranges::any_of(figure.series, has_members);
    const std::size_t names = are_groups ? 100 + 18 * figure.series.size() : 0;
    const std::size_t height =
        are_intervals ? 150 + 26 * figure.series.size() : std::max<std::size_t>(440, names);
    out += fmt::format("set terminal svg size 860,{} dynamic enhanced name 'f{}' font 'Helvetica,14'\n",
                       height,
                       number) +
           "set output " + literal(figure.name + ".svg") + "\n" + plot;
    out += fmt::format("set terminal pdfcairo size 18cm,{:.1f}cm font 'Helvetica,9'\n",
                       static_cast<double>(height) * 18 / 860) +
           "set output " + literal(figure.name + ".pdf") + "\nreplot\n";
    out += fmt::format(
               "set terminal pngcairo size 1290,{} font 'Helvetica,15' fontscale 1 linewidth 1.5 pointscale "
               "1.5\n",
               height * 3 / 2) +
           "set output " + literal(figure.name + ".png") + "\nreplot\nunset output\n";
    if (are_intervals) out += "unset arrow 1\nset ytics enhanced\n";
    return out;
}

/// What a picture is called, and what the file of a whole one has in its last bytes: gnuplot does not say if
/// the disk was full.
constexpr std::array<std::pair<const char*, std::string_view>, 3> kPictures{
    {{".svg", "</svg>"}, {".pdf", "%%EOF"}, {".png", "IEND"}}};

bool ends_with(const std::filesystem::path& file, std::string_view end) {
    if (!std::filesystem::exists(file)) return false;
    const std::string text = read_file(file);
    return std::string_view(text).substr(text.size() - std::min<std::size_t>(text.size(), 32)).find(end) !=
           std::string_view::npos;
}

Drawn without_pictures(const std::string& reason) {
    return {.note = "There are no pictures: " + reason + ".", .has_failed = true};
}

/// Waits for a child, ends it when its time is up. @return its status, or nothing
std::optional<int> wait_for(pid_t child) {
    const auto deadline = std::chrono::steady_clock::now() + kTimeLimit;
    int status = 0;
    for (;;) {
        const pid_t ended = ::waitpid(child, &status, WNOHANG);
        if (ended == child) return status;
        if (ended < 0 && errno != EINTR) return std::nullopt;
        if (std::chrono::steady_clock::now() > deadline) {
            ::kill(child, SIGKILL);
            ::waitpid(child, &status, 0);
            return std::nullopt;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

/// The last line of what gnuplot had to say.
std::string last_line(const std::filesystem::path& file) {
    std::string text = read_file(file);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text.substr(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
}

/// Runs gnuplot on figures.gp in a folder.
Drawn run_gnuplot(const std::filesystem::path& folder) {
    const std::filesystem::path messages = folder / "gnuplot.log";
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 2, messages.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    std::string program = "gnuplot", plain = "-d", script = "figures.gp";  // -d: not the user's settings
    char* arguments[] = {program.data(), plain.data(), script.data(), nullptr};
    pid_t child = 0;
    const int code = ::posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments, environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (code == ENOENT)
        return {.note = without_pictures("gnuplot is not installed (Debian: apt install gnuplot-nox)").note};
    if (code != 0) return without_pictures(std::string("gnuplot cannot be started: ") + std::strerror(code));
    const std::optional<int> status = wait_for(child);
    if (!status) return without_pictures("gnuplot did not end within a minute");
    if (WIFSIGNALED(*status))
        return without_pictures("gnuplot was ended by signal " + std::to_string(WTERMSIG(*status)));
    if (WEXITSTATUS(*status) != 0) return without_pictures("gnuplot failed: " + last_line(messages));
    std::error_code ignored;
    std::filesystem::remove(messages, ignored);
    return {};
}

}  // namespace

std::string gnuplot_script(const std::vector<Figure>& figures) {
    std::string out =
        "# Draws the figures, from the numbers of the CSV files beside it: gnuplot figures.gp\n"
        "set encoding utf8\n"
        "set datafile missing 'nan'\n"
        "set key outside right top vertical Left reverse noenhanced samplen 3 spacing 1.15\n"
        "set border 3 lc rgb '#555555'\n"
        "set tics nomirror out scale 0.6\n"
        "set grid lc rgb '#e4e4e4' lt 1 lw 0.7\n"
        "set bars 0.6\n"
        "set samples 2\n";
    for (std::size_t i = 0; i < figures.size(); ++i) out += figure_commands(i, figures[i]);
    return out;
}

Drawn draw(const std::filesystem::path& folder, const std::vector<Figure>& figures) {
    for (const Figure& figure : figures) write_file_atomically(folder / (figure.name + ".csv"), figure.csv());
    write_file_atomically(folder / "figures.gp", gnuplot_script(figures));
    Drawn drawn = run_gnuplot(folder);
    for (const Figure& figure : figures) {
        for (const auto& [type, end] : kPictures) {
            if (drawn.note.empty() && !ends_with(folder / (figure.name + type), end))
                drawn = without_pictures("gnuplot drew no whole " + figure.name + type +
                                         "; the disk may be full");
        }
    }
    if (drawn.note.empty()) return drawn;
    // Half of them would look like all.
    for (const Figure& figure : figures) {
        std::error_code ignored;
        for (const auto& [type, end] : kPictures)
            std::filesystem::remove(folder / (figure.name + type), ignored);
    }
    return drawn;
}

}  // namespace l2o::framework
