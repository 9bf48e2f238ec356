#include "descent.hpp"

namespace {

// The average of a row moves every coordinate of it.
struct CouplesCoordinates : l2o::broken::Descent {
    static constexpr l2o::About about = about_as("couples_coordinates");
    template <class T>
    void step(const l2o::StepIn<T>& in, const l2o::StepOut<T>& out) const {
        Descent::step(in, out);
        for (std::int64_t row = 0; row < in.batch(); ++row) {
            T sum = 0;
            for (std::int64_t i = 0; i < in.g(0).cols; ++i) sum += in.g(0)(row, i);
            for (std::int64_t i = 0; i < in.g(0).cols; ++i) out.x(0)(row, i) -= T(kEta) * sum;
        }
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<CouplesCoordinates>)
