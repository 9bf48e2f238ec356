#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "framework/report/figure.hpp"

namespace l2o::framework {

/// What everybody in a run had, from its configuration.
struct Budget {
    std::int64_t iterations = 0, max_evaluations = 0, metrics_every = 0, instances = 0, starts = 0;
};

/// What the folder of a finished run holds.
struct RunRecord {
    std::filesystem::path folder{};
    std::string config{};       ///< config.info
    std::string name{};         ///< of the experiment
    std::string environment{};  ///< environment.json
    std::vector<TrainingPoint> training{};
    Budget budget{};
    Results results{};
};

/// All that a page shows.
struct Page {
    std::vector<RunRecord> runs{};
    Results results{};  ///< of all runs together
    std::vector<Figure> figures{};
    std::filesystem::path pictures{};    ///< folder with NAME.svg of every figure
    std::string note{};                  ///< why there are no pictures; "" : there are
    std::vector<std::string> remarks{};  ///< what is not known of the runs, a phrase each
};

/// An HTML page that needs no other file: tables, the pictures as inline SVG, configurations and versions.
/// @throw Error kIo if a picture cannot be read
[[nodiscard]] std::string html_of(const Page& page);

}  // namespace l2o::framework
