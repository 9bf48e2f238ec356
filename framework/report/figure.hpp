#pragma once

#include <optional>
#include <string>
#include <vector>

#include "framework/evaluate/groups.hpp"
#include "framework/evaluate/results_file.hpp"

namespace l2o::framework {

/// One line of a figure, with a band where low and high are given.
struct Series {
    std::string name{};
    std::vector<double> x{}, y{}, low{}, high{};
    std::string label{};  ///< in the picture; "": the name
    GroupPlace place{};   ///< a group has one hue, its members differ in shade and dashes
};

/// What is drawn, and written as CSV beside the picture: nothing else is in the figure.
struct Figure {
    enum class Kind { kLines, kIntervals, kDots };
    struct Axis {
        std::string label{};
        bool is_log = false;
        double low = 0, high = 1;
    };

    std::string name{};     ///< of its files
    std::string title{};    ///< "nmse_db against iterations"
    std::string caption{};  ///< what to know when reading it
    Kind kind = Kind::kLines;
    Axis x{}, y{};
    std::vector<Series> series{};

    /// series, x, y, and low, high of those with a band.
    [[nodiscard]] std::string csv() const;
};

/// What a training wrote after a trajectory.
struct TrainingPoint {
    std::string contestant{};
    double loss = 0;
    std::optional<double> validation{};
    bool diverged = false;  ///< not all of its windows were finite
};

/// The metric that counts against iterations, evaluations and time: medians with their 10-90 % bands.
[[nodiscard]] std::vector<Figure> metric_figures(const Results& results);
/// Median differences to the reference with their intervals; nothing if there is nobody to compare.
[[nodiscard]] std::optional<Figure> difference_figure(const Results& results);
/// Dolan & Moré's profile of the evaluations to the target; nothing if nobody arrives.
[[nodiscard]] std::optional<Figure> profile_figure(const Results& results);
/// The empirical distribution of the evaluations to many targets, see Runtimes; nothing where there are none.
[[nodiscard]] std::optional<Figure> ecdf_figure(const Results& results);
/// One figure per trained contestant.
[[nodiscard]] std::vector<Figure> training_figures(const std::vector<TrainingPoint>& points);

}  // namespace l2o::framework
