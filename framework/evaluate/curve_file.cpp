#include "framework/evaluate/curve_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"
#include "framework/text/json.hpp"
#include "framework/text/printable.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kCurveKey = "l2o.curve";
constexpr std::int64_t kMaxShardRows = 1'000'000'000;
constexpr double kLargest = 1e15;  // that a double counts up to

/// Tensors of a file that is written: they live until it is.
class Writer {
  public:
    template <class Number>
    void operator()(const std::string& name, std::vector<Number>& values) {
        constexpr Dtype kType = std::is_same_v<Number, double> ? Dtype::kF64 : Dtype::kI64;
        auto& tensor = tensors_.emplace_back(
            std::make_unique<Tensor>(kType, Shape{static_cast<std::int64_t>(values.size())}));
        if (!values.empty()) std::memcpy(tensor->data(), values.data(), values.size() * sizeof(Number));
        refs_[name] = tensor.get();
    }
    void operator()(const std::string& name, std::vector<std::vector<double>>& rows) {
        std::vector<std::int64_t> sizes;
        std::vector<double> all;
        for (const std::vector<double>& row : rows) {
            sizes.push_back(static_cast<std::int64_t>(row.size()));
            all.insert(all.end(), row.begin(), row.end());
        }
        (*this)(name + ".sizes", sizes);
        (*this)(name, all);
    }
    [[nodiscard]] const TensorRefs& refs() const { return refs_; }

  private:
    std::vector<std::unique_ptr<Tensor>> tensors_;
    TensorRefs refs_;
};

/// Takes the parts of a file, each of the type and the size that it has to be. @throw Error kIo: it is not.
class Reader {
  public:
    explicit Reader(const TensorFile& file) : file_(file) {}

    template <class Number>
    void operator()(const std::string& name, std::vector<Number>& values) {
        constexpr Dtype kType = std::is_same_v<Number, double> ? Dtype::kF64 : Dtype::kI64;
        const Tensor& tensor = file_.at(name);
        expect(tensor.dtype() == kType && tensor.shape().size() == 1, name);
        const auto from = tensor.values<Number>();
        expect(values.empty() || from.size() == values.size(), name);
        values.assign(from.begin(), from.end());
    }
    void operator()(const std::string& name, std::vector<std::vector<double>>& rows) {
        std::vector<std::int64_t> sizes;
        std::vector<double> all;
        (*this)(name + ".sizes", sizes);
        (*this)(name, all);
        std::size_t left = all.size();
        for (const std::int64_t size : sizes) {
            expect(size >= 0 && static_cast<std::uint64_t>(size) <= left, name + ".sizes");
            const auto next = all.end() - static_cast<std::ptrdiff_t>(left);
            rows.emplace_back(next, next + size);
            left -= static_cast<std::size_t>(size);
        }
        expect(left == 0, name + ".sizes");
    }
    void expect(bool fits, const std::string& part) const {
        if (!fits) throw Error(ExitCode::kIo, file_.path + ": '" + part + "' is not that of a curve");
    }

  private:
    const TensorFile& file_;
};

/// A distribution as numbers, and back.
std::vector<double> numbers_of(const Distribution& distribution) {
    const auto& [mean, median, q10, q25, q75, q90, finite, rows] = distribution;
    return {mean, median, q10, q25, q75, q90, static_cast<double>(finite), static_cast<double>(rows)};
}
Distribution distribution_from(const std::vector<double>& numbers) {
    constexpr std::size_t kNumbers = 8;
    if (numbers.size() != kNumbers || !(numbers[6] >= 0 && numbers[6] <= numbers[7]) ||
        !(numbers[7] <= kLargest))
        throw Error(ExitCode::kIo, "a distribution is not what is written of one");
    return {.mean = numbers[0],
            .median = numbers[1],
            .q10 = numbers[2],
            .q25 = numbers[3],
            .q75 = numbers[4],
            .q90 = numbers[5],
            .finite = static_cast<std::int64_t>(numbers[6]),
            .rows = static_cast<std::int64_t>(numbers[7])};
}

/// Staircases as numbers, three a stair, and what the clock gave apart from them; and back.
struct StairNumbers {
    std::vector<std::vector<double>> stairs{}, seconds{};
};
StairNumbers numbers_of(const std::vector<Staircase>& staircases) {
    StairNumbers rows;
    for (const Staircase& stairs : staircases) {
        std::vector<double>& numbers = rows.stairs.emplace_back();
        std::vector<double>& times = rows.seconds.emplace_back();
        for (const auto& [f, reached] : stairs) {
            const auto& [iteration, evaluations, seconds] = reached;
            numbers.insert(numbers.end(), {f, static_cast<double>(iteration), evaluations});
            times.push_back(seconds);
        }
    }
    return rows;
}
std::vector<Staircase> staircases_from(const StairNumbers& rows) {
    constexpr std::size_t kNumbers = 3;
    std::vector<Staircase> staircases;
    for (std::size_t row = 0; row < rows.stairs.size(); ++row) {
        const std::vector<double>& numbers = rows.stairs[row];
        Staircase& stairs = staircases.emplace_back();
        bool is_whole = rows.seconds.size() == rows.stairs.size() &&
                        numbers.size() == kNumbers * rows.seconds[row].size();
        for (std::size_t i = 0; is_whole && i < numbers.size(); i += kNumbers) {
            const double iteration = numbers[i + 1];
            is_whole = iteration >= 0 && iteration <= kLargest && (i == 0 || numbers[i] < stairs.back().f);
            if (is_whole)
                stairs.push_back({.f = numbers[i],
                                  .reached = {.iteration = static_cast<std::int64_t>(iteration),
                                              .evaluations = numbers[i + 2],
                                              .seconds = rows.seconds[row][i / kNumbers]}});
        }
        if (!is_whole) throw Error(ExitCode::kIo, "a staircase is not what is written of one");
    }
    return staircases;
}

/// Takes a curve apart, or puts it together: all of its parts that are numbers. Of those that are structs a
/// part that is added and not named here does not compile.
template <class Move>
void move_numbers(Curve& curve, Move&& move) {
    auto& [contestant,
           group,
           swept,
           optimizer,
           options,
           training_seed,
           iteration,
           evaluations,
           values,
           gradients,
           seconds,
           time,  // comes after what is kept here
           metrics,
           distributions,
           final_rows,
           best,
           final_best,
           staircases,
           training_seconds,
           preparation_seconds,
           training,
           tuned,  // comes after what is kept here
           safeguard,
           fallback_rate,
           history,
           reached] = curve;
    auto& [shard_rows, history_values, history_evaluations, history_seconds] = history;
    move("iteration", iteration);
    move("evaluations", evaluations);
    move("values", values);
    move("gradients", gradients);
    move("seconds", seconds);
    move("final_rows", final_rows);
    move("best", best);
    move("final_best", final_best);
    StairNumbers stairs = numbers_of(staircases);
    move("staircases", stairs.stairs);
    move("staircases.seconds", stairs.seconds);
    staircases = staircases_from(stairs);
    move("history.values", history_values);
    move("history.evaluations", history_evaluations);
    move("history.seconds", history_seconds);
    std::vector<double> times{training_seconds, preparation_seconds};
    move("single.seconds", times);
    training_seconds = times[0], preparation_seconds = times[1];
    std::vector<double> single{fallback_rate, static_cast<double>(shard_rows)};
    move("single", single);
    fallback_rate = single[0];
    if (!(single[1] >= 1 && single[1] <= static_cast<double>(kMaxShardRows)))
        throw Error(ExitCode::kIo, "a shard has no number of rows");
    shard_rows = static_cast<std::int64_t>(single[1]);
    distributions.resize(metrics.size());
    for (std::size_t metric = 0; metric < metrics.size(); ++metric) {
        std::vector<std::vector<double>> points;
        for (const Distribution& point : distributions[metric]) points.push_back(numbers_of(point));
        move("distributions/" + std::to_string(metric), points);
        distributions[metric].clear();
        for (const std::vector<double>& point : points)
            distributions[metric].push_back(distribution_from(point));
    }
}

/// Refuses parts that do not belong together: what judges a curve goes by its points, metrics and rows.
void check_sizes(const Curve& curve, const Reader& reader) {
    const std::size_t points = curve.iteration.size(), metrics = curve.metrics.size();
    reader.expect(points > 0 && metrics > 0 && curve.final_rows.size() == metrics, "final_rows");
    const std::size_t rows = curve.final_rows.front().size();
    const auto are = [](const auto& parts, std::size_t size) {
        return std::ranges::all_of(parts, [&](const auto& part) { return part.size() == size; });
    };
    reader.expect(rows > 0 && are(curve.final_rows, rows), "final_rows");
    reader.expect((curve.best.empty() && curve.final_best.empty()) ||
                      (curve.best.size() == points && curve.final_best.size() == rows),
                  "best");
    reader.expect(curve.staircases.empty() || curve.staircases.size() == rows, "staircases");
    reader.expect(curve.evaluations.size() == points && curve.values.size() == points &&
                      curve.gradients.size() == points && curve.seconds.size() == points &&
                      are(curve.distributions, points),
                  "iteration");
    const History& history = curve.history;
    const auto shard = static_cast<std::size_t>(history.shard_rows);
    const std::size_t shards = (rows + shard - 1) / shard;
    reader.expect(history.values.size() == points && are(history.values, rows) &&
                      history.evaluations.size() == points && are(history.evaluations, rows) &&
                      history.seconds.size() == points && are(history.seconds, shards),
                  "history.values");
}

}  // namespace

void write_curve(const std::filesystem::path& path, const Curve& curve, const std::string& hash) {
    Writer writer;
    Curve copy = curve;
    move_numbers(copy, [&](const std::string& name, auto& part) { writer(name, part); });
    const nlohmann::json texts{{"hash", hash},
                               {"contestant", curve.contestant},
                               {"metrics", curve.metrics},
                               {"training", curve.training ? to_json(*curve.training) : nlohmann::json()},
                               {"safeguard", curve.safeguard}};
    write_safetensors(path, writer.refs(), sealed(writer.refs(), {{kCurveKey, texts.dump()}}));
}

namespace {

/// Nothing if it is sealed by nobody, or of another hash. @throw Error, json::exception  it is no curve
std::optional<Curve> sealed_curve(const std::filesystem::path& path, const std::string* hash) {
    const TensorFile file = read_safetensors(path);
    if (!is_sealed(file) || !file.metadata.contains(kCurveKey)) return std::nullopt;
    constexpr std::size_t kDeepest = 3;  // the validation of a training
    const nlohmann::json texts = parsed_json(file.metadata.at(kCurveKey), kDeepest).value_or(nullptr);
    if (hash != nullptr && texts.at("hash") != *hash) return std::nullopt;
    Curve curve{.contestant = texts.at("contestant"),
                .metrics = texts.at("metrics"),
                .training = outcome_from_json(texts.at("training")),
                .safeguard = texts.at("safeguard")};
    Reader reader(file);
    move_numbers(curve, [&](const std::string& name, auto& part) { reader(name, part); });
    check_sizes(curve, reader);
    return curve;
}

}  // namespace

std::optional<Curve> read_curve(const std::filesystem::path& path, const std::string& hash) try {
    return sealed_curve(path, &hash);
} catch (const Error&) {
    return std::nullopt;  // cut off, or no such file at all
} catch (const nlohmann::json::exception&) {
    return std::nullopt;
}

Curve read_curve(const std::filesystem::path& path) {
    std::string fault = "its checksum is wrong";
    try {
        if (std::optional<Curve> curve = sealed_curve(path, nullptr)) return *std::move(curve);
    } catch (const nlohmann::json::exception& error) {
        fault = error.what();
    }
    throw Error(ExitCode::kIo,
                path.string() + ": not what an evaluation keeps (" + fault + "); evaluate again");
}

}  // namespace l2o::framework
