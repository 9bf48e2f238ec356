#include "framework/export/tidy_csv.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "framework/evaluate/entries.hpp"
#include "framework/store/atomic_file.hpp"
#include "framework/store/csv.hpp"

namespace l2o::framework {
namespace {

/// In the order in which they are first swept; the seed of a training has a column of its own.
std::vector<std::string> swept_keys(const std::vector<Curve>& curves) {
    std::vector<std::string> keys;
    for (const Curve& curve : curves) {
        for (const auto& [key, value] : curve.swept)
            if (key != kSeedKey && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    }
    return keys;
}

std::string swept_value(const Curve& curve, const std::string& key) {
    for (const auto& [name, value] : curve.swept)
        if (name == key) return value;
    return "";
}

/// What a row has paid for by each point: a step pays before it is complete, and the end is paid for last.
class BestSoFar {
  public:
    explicit BestSoFar(const Staircase* stairs) : stairs_(stairs) {}
    double at(std::int64_t iteration, bool is_end) {
        while (stairs_ != nullptr && next_ < stairs_->size() &&
               (is_end || (*stairs_)[next_].reached.iteration < iteration))
            best_ = (*stairs_)[next_++].f;
        return best_;
    }

  private:
    const Staircase* stairs_;
    std::size_t next_ = 0;
    double best_ = NAN;
};

}  // namespace

void write_tidy_csv(const std::filesystem::path& path, const KeptRun& run) {
    const std::vector<Curve>& curves = run.results.curves;
    const auto starts = static_cast<std::size_t>(run.results.judging.starts);
    const std::vector<std::string> swept = swept_keys(curves);
    std::set<std::string> options;
    for (const Curve& curve : curves)
        for (const auto& [key, value] : curve.options) options.insert(key);
    std::vector<std::string> head{"contestant", "group", "optimizer"};
    head.insert(head.end(), swept.begin(), swept.end());
    for (const std::string& key : options) head.push_back("option." + key);
    head.insert(head.end(),
                {"training_seed",
                 "instance",
                 "start",
                 "iteration",
                 "evaluations",
                 run.results.judging.metric,
                 "best_objective"});
    constexpr std::size_t kPart = 1U << 16U;  // chosen: far more than a line, far less than the memory
    AtomicFile file(path);
    CsvWriter csv(head);
    for (const Curve& curve : curves) {
        std::vector<CsvCell> cells{
            curve.contestant, curve.group.empty() ? curve.contestant : curve.group, curve.optimizer};
        for (const std::string& key : swept) cells.emplace_back(swept_value(curve, key));
        for (const std::string& key : options)
            cells.emplace_back(curve.options.contains(key) ? curve.options.at(key) : "");
        cells.push_back(curve.training_seed ? CsvCell(*curve.training_seed) : CsvCell(""));
        const std::size_t common = cells.size();
        for (std::size_t row = 0; row < curve.history.values.front().size(); ++row) {
            BestSoFar best(curve.staircases.empty() ? nullptr : &curve.staircases[row]);
            for (std::size_t point = 0; point < curve.iteration.size(); ++point) {
                const bool is_end = point + 1 == curve.iteration.size();
                cells.resize(common, "");
                cells.insert(cells.end(),
                             {row / starts,
                              row % starts,
                              curve.iteration[point],
                              curve.history.evaluations[point][row],
                              number_or_empty(curve.history.values[point][row]),
                              number_or_empty(best.at(curve.iteration[point], is_end))});
                csv.add_row(cells);
            }
            if (csv.text().size() >= kPart) file.write(csv.take());
        }
    }
    file.write(csv.take());
    file.commit();
}

}  // namespace l2o::framework
