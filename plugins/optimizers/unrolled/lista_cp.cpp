#include "learned_weights.hpp"

namespace {

// Chen, Liu, Wang & Yin 2018, "Theoretical linear convergence of unfolded ISTA and its practical weights and
// thresholds" (arXiv:1808.10038v2), equation 10: the weights of LISTA coupled by S_k = I - W_k^T A.
//   x_{k+1} = S(x_k + (b - x_k A^T) W_k, theta_k).
class ListaCp : public l2o::plugins::LearnedWeights<ListaCp> {
  public:
    static constexpr l2o::About about{
        .id = "lista_cp",
        .version = "1.0.0",
        .title = "LISTA-CP: LISTA with coupled weights, one matrix per layer",
        .doc =
            "x <- S(x + W_k^T (b - A x), theta_k), S the soft threshold; W_k [m, n] and theta_k are "
            "learned. Chen, Liu, Wang & Yin 2018 (arXiv:1808.10038), equation 10.",
        .needs = "A,b,lambda?"};

    ListaCp() { theta_ratio = 0.75; }
    static l2o::Options<ListaCp> options() { return LearnedWeights::options(); }
};

}  // namespace

L2O_PLUGIN(l2o::Optimizer<ListaCp>)
