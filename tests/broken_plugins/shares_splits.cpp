#include "bowl.hpp"

namespace {

// The test instances are the training instances.
struct SharesSplits : l2o::broken::Bowl {
    static constexpr l2o::About about = about_as("shares_splits");
    template <class T>
    void sample(const l2o::Draw& draw, const l2o::DataOut<T>& data) const {
        Bowl::sample(l2o::Draw{draw.call, L2O_SPLIT_TRAIN, draw.first, draw.count}, data);
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizee<SharesSplits>)
