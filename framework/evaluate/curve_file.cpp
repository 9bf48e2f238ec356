#include "framework/evaluate/curve_file.hpp"

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <vector>

#include "framework/error.hpp"
#include "framework/store/safetensors.hpp"

namespace l2o::framework {
namespace {

constexpr const char* kCurveKey = "l2o.curve";

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

class Reader {
  public:
    explicit Reader(const TensorFile& file) : file_(file) {}

    template <class Number>
    void operator()(const std::string& name, std::vector<Number>& values) {
        const auto from = file_.at(name).values<Number>();
        values.assign(from.begin(), from.end());
    }
    void operator()(const std::string& name, std::vector<std::vector<double>>& rows) {
        std::vector<std::int64_t> sizes;
        std::vector<double> all;
        (*this)(name + ".sizes", sizes);
        (*this)(name, all);
        auto next = all.begin();
        for (const std::int64_t size : sizes) {
            rows.emplace_back(next, next + size);
            next += size;
        }
    }

  private:
    const TensorFile& file_;
};

/// A distribution as numbers, and back.
std::vector<double> numbers_of(const Distribution& distribution) {
    const auto& [mean, median, q10, q25, q75, q90, finite] = distribution;
    return {mean, median, q10, q25, q75, q90, static_cast<double>(finite)};
}
Distribution distribution_from(const std::vector<double>& numbers) {
    return {.mean = numbers[0],
            .median = numbers[1],
            .q10 = numbers[2],
            .q25 = numbers[3],
            .q75 = numbers[4],
            .q90 = numbers[5],
            .finite = static_cast<std::int64_t>(numbers[6])};
}

/// Takes a curve apart, or puts it together: all of its parts that are numbers. Of those that are structs a
/// part that is added and not named here does not compile.
template <class Move>
void move_numbers(Curve& curve, Move&& move) {
    auto& [contestant,
           iteration,
           values,
           gradients,
           seconds,
           metrics,
           distributions,
           final_rows,
           training_seconds,
           preparation_seconds,
           training,
           safeguard,
           fallback_rate,
           history,
           reached] = curve;
    auto& [shard_rows, history_values, history_evaluations, history_seconds] = history;
    move("iteration", iteration);
    move("values", values);
    move("gradients", gradients);
    move("seconds", seconds);
    move("final_rows", final_rows);
    move("history.values", history_values);
    move("history.evaluations", history_evaluations);
    move("history.seconds", history_seconds);
    std::vector<double> single{
        training_seconds, preparation_seconds, fallback_rate, static_cast<double>(shard_rows)};
    move("single", single);
    training_seconds = single[0], preparation_seconds = single[1], fallback_rate = single[2];
    shard_rows = static_cast<std::int64_t>(single[3]);
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

std::optional<Curve> read_curve(const std::filesystem::path& path, const std::string& hash) try {
    const TensorFile file = read_safetensors(path);
    if (!is_sealed(file) || !file.metadata.contains(kCurveKey)) return std::nullopt;
    const nlohmann::json texts = nlohmann::json::parse(file.metadata.at(kCurveKey));
    if (texts.at("hash") != hash) return std::nullopt;
    Curve curve{.contestant = texts.at("contestant"),
                .metrics = texts.at("metrics"),
                .training = outcome_from_json(texts.at("training")),
                .safeguard = texts.at("safeguard")};
    Reader reader(file);
    move_numbers(curve, [&](const std::string& name, auto& part) { reader(name, part); });
    return curve;
} catch (const Error&) {
    return std::nullopt;  // cut off, or no such file at all
} catch (const nlohmann::json::exception&) {
    return std::nullopt;
}

}  // namespace l2o::framework
