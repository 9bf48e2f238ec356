#include "learned_weights.hpp"

namespace {

// Chen, Liu, Wang & Yin 2018, "Theoretical linear convergence of unfolded ISTA and its practical weights and
// thresholds" (arXiv:1808.10038v2), equations 10 and 17: LISTA-CP that trusts its largest entries.
//   x_{k+1} = SS(x_k + (b - x_k A^T) W_k, theta_k, q_k).
class ListaCpss : public l2o::plugins::LearnedWeights<ListaCpss> {
  public:
    static constexpr l2o::About about{
        .id = "lista_cpss",
        .version = "1.0.0",
        .title = "LISTA-CPSS: LISTA-CP with support selection",
        .doc =
            "x <- SS(x + W_k^T (b - A x), theta_k); SS is the soft threshold that leaves the largest q_k "
            "percent of the entries alone, q_k = min((k + 1) support_per_layer, support_max); W_k [m, n] and "
            "theta_k are learned. Chen, Liu, Wang & Yin 2018 (arXiv:1808.10038), equations 10 and 17.",
        .needs = "A,b,lambda?"};

    ListaCpss() { support_per_layer = 1.2, support_max = 13; }
    static l2o::Options<ListaCpss> options() {
        l2o::Options<ListaCpss> options = LearnedWeights::options();
        add_support_options(options);
        return options;
    }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ListaCpss>)
