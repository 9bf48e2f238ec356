#include "framework/rollout/safe_tracks.hpp"

#include <algorithm>
#include <cmath>

#include "framework/rollout/arithmetic.hpp"
#include "framework/rollout/residual.hpp"

namespace l2o::framework {
namespace {

/// One optimizer on one row.
class Track {
  public:
    Track(const Scene& scene, Ledger& ledger, std::int64_t row) : scene_(scene), stepper_(scene_) {
        stepper_.charge_to(ledger, row);
        stepper_.charge_whole_gradients();  // the size of both halves is what counts
        PointParts parts = stepper_.parts();
        parts.g = true;
        for (Point* point : {&at_, &next_}) *point = Point(stepper_.layout(), parts);
    }
    Track(const Track&) = delete;
    Track& operator=(const Track&) = delete;

    [[nodiscard]] const Point& at() const { return at_; }
    void evaluate(Point& point) { stepper_.evaluate(point, 0, false, true, kCharged); }
    /// The next step is a first one.
    void begin(const Point& start) {
        at_.x.copy_from(start.x);
        at_.forget();
        take_known(start, at_, 0);
        at_.settle();
        stepper_.init_state(at_);
        t_ = 0;
    }
    /// To another point, and its gradient.   @throw Diverged, and stays where it is
    void step() {
        stepper_.advance(at_, next_, t_);
        evaluate(next_);
        std::swap(at_, next_);
        ++t_;
    }

  private:
    const Scene scene_;
    Stepper stepper_;
    Point at_, next_;
    std::int64_t t_ = 0;
};

}  // namespace

class SafeTracks::Row {
  public:
    Row(Ledger& ledger, const Scene& scene, const Safeguard& safeguard, std::int64_t row)
        : ledger_(ledger),
          row_(row),
          rule_(safeguard.rule),
          data_(slice(scene.data, scene.optimizee, row, 1)),
          optimizer_(of(scene, scene.optimizer, scene.params), ledger, row),
          classic_(of(scene, safeguard.classic, safeguard.params), ledger, row),
          best_({safeguard.classic, scene.optimizee, 1}, {.g = true, .state = false}) {}

    [[nodiscard]] const TensorSet& best() const { return best_.x; }
    [[nodiscard]] bool fell_back() const { return fell_back_; }

    void begin(const TensorSet& x0) {
        for (std::size_t k = 0; k < x0.size(); ++k) copy_row(x0[k], row_, best_.x[k], 0);
        best_.forget();
        classic_.evaluate(best_);
        best_size_ = start_size_ = size_of_row(best_.g.tensors(), 0);
        law_ = rule_.lead * best_size_;
        begun_at_ = best_at_ = gradients();
        resumes_at_ = 0;
        failures_ = 0;
        for (Track* track : {&optimizer_, &classic_}) track->begin(best_);
    }

    void advance() {
        fell_back_ = gradients() < resumes_at_;
        const double size = step(fell_back_ ? classic_ : optimizer_);
        const double n = gradients();
        if (size < best_size_) {
            take_best(fell_back_ ? classic_ : optimizer_);
            best_size_ = size;
            best_at_ = n;
        }
        if (fell_back_) {
            if (n >= resumes_at_) try_again(n);
        } else {
            judge(size, n);
        }
    }

  private:
    [[nodiscard]] Scene of(const Scene& scene, const Optimizer& optimizer, const TensorSet& params) const {
        return {optimizer,
                scene.optimizee,
                data_,
                params,
                scene.key,
                scene.row0 + static_cast<std::uint64_t>(row_)};
    }
    /// That the row has paid for, on both tracks.
    [[nodiscard]] double gradients() const {
        return ledger_.evaluations()[static_cast<std::size_t>(row_)].points / ledger_.cost_of_gradient();
    }
    /// @return |F| where the track is then.
    double step(Track& track) {
        try {
            track.step();
        } catch (const Diverged&) {
            static_cast<void>(ledger_.charge(row_, L2O_ORACLE_GRADIENT, 0, true));
            return INFINITY;
        }
        return size_of_row(track.at().g.tensors(), 0);
    }
    void take_best(const Track& track) {
        best_.x.copy_from(track.at().x);
        best_.forget();
        take_known(track.at(), best_, 0);
        best_.settle();
    }
    void try_again(double n) {
        start_size_ = best_size_;
        law_ = rule_.retry * best_size_ * n;
        begun_at_ = best_at_ = n;
        optimizer_.begin(best_);
    }
    void judge(double size, double n) {
        constexpr double kFar = 10;  // from where it began: on its way down a good track may rise
        const bool has_blown_up =
            !std::isfinite(size) || (size > rule_.blow_up * best_size_ && size > kFar * start_size_);
        const bool is_tested = has_blown_up || n - begun_at_ >= static_cast<double>(rule_.trial);
        if (is_tested && best_size_ > law_ / n) {
            resumes_at_ = n + std::ldexp(static_cast<double>(rule_.pause), failures_++);
        } else if (has_blown_up || n - best_at_ >= static_cast<double>(rule_.stall)) {
            best_at_ = n;
            optimizer_.begin(best_);
        }
    }

    Ledger& ledger_;
    const std::int64_t row_;
    const SafeguardRule rule_;
    const ProblemData data_;
    Track optimizer_, classic_;
    Point best_;
    double best_size_ = 0, start_size_ = 0, law_ = 0;  // |F| at the best point, where the attempt began; c r
    double begun_at_ = 0, best_at_ = 0, resumes_at_ = 0;  // gradients
    int failures_ = 0;
    bool fell_back_ = false;
};

SafeTracks::SafeTracks(Stepper& stepper, const Scene& scene, const Safeguard& safeguard) : stepper_(stepper) {
    for (std::int64_t row = 0; row < scene.data.instances; ++row)
        rows_.push_back(std::make_unique<Row>(stepper.ledger(), scene, safeguard, row));
}

SafeTracks::~SafeTracks() = default;

void SafeTracks::advance(Point& from, Point& to, std::int64_t /*t*/) {
    to.forget();
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        const auto row = static_cast<std::int64_t>(r);
        if (stepper_.has_ended(row)) {
            stepper_.hold_row(from, to, row);
            continue;
        }
        if (!has_begun_) {
            rows_[r]->begin(from.x);
            if (!stepper_.ledger().is_spent(row)) from.pay(row, L2O_ORACLE_GRADIENT);
        }
        rows_[r]->advance();
        for (std::size_t k = 0; k < to.x.size(); ++k) copy_row(rows_[r]->best()[k], 0, to.x[k], row);
        to.pay(row, L2O_ORACLE_GRADIENT);
    }
    to.settle();
    has_begun_ = true;
}

void SafeTracks::end(std::int64_t row) { stepper_.end(row, L2O_ROW_CONVERGED); }

bool SafeTracks::fell_back(std::int64_t row) const {
    return rows_[static_cast<std::size_t>(row)]->fell_back();
}

}  // namespace l2o::framework
