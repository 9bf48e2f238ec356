#include "descent.hpp"

namespace l2o::broken {

struct ExportsMore : Descent {
    static constexpr About about{.id = "exports_more",
                                 .version = "1.0.0",
                                 .title = "A broken optimizer",
                                 .doc = "For tests.",
                                 .license = "MIT",
                                 .vendor = "l2o"};
};

}  // namespace l2o::broken

L2O_PLUGIN(l2o::Optimizer<l2o::broken::ExportsMore>)
