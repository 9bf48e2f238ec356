#include "bowl.hpp"

namespace {

// Instance i of a call, not of the split.
struct NumbersFromZero : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("numbers_from_zero");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Bowl::sample(l2o::Draw{draw.call, draw.split, 0, draw.count}, data);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<NumbersFromZero>)
