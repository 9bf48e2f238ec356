#include "tests/benchmarks/lstm_torch.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <array>

namespace l2o::bench {

struct TorchLstm::Net {
    Form form;
    LstmTask task;
    /// Of a layer: w_input [4 hidden, inputs], w_hidden [4 hidden, hidden], b; then the read-out. Gates in
    /// the order that the form wants them; its forget bias of 1 is in b.
    std::vector<torch::Tensor> weights, gradients;
    std::vector<torch::Tensor> x, bar, start, read_outs;

    /// Where block k of the form's gates lies among i, j, f, o.
    [[nodiscard]] std::array<std::int64_t, 4> order() const {
        if (form == Form::kCell) return {0, 2, 1, 3};  // i, f, j, o
        return {0, 2, 3, 1};                           // those with a logistic function together
    }

    void add_layer(const float* w, const float* b, std::int64_t inputs) {
        const std::int64_t hidden = task.hidden;
        const auto all = torch::from_blob(const_cast<float*>(w), {inputs + hidden, 4, hidden}).clone();
        const auto bias = torch::from_blob(const_cast<float*>(b), {4, hidden}).clone();
        bias[2] += 1;
        std::vector<torch::Tensor> groups, biases;
        for (const std::int64_t gate : order())
            groups.push_back(all.select(1, gate)), biases.push_back(bias[gate]);
        const torch::Tensor gates = torch::cat(groups, 1).t();  // [4 hidden, inputs + hidden]
        weights.push_back(gates.narrow(1, 0, inputs).contiguous().requires_grad_());
        weights.push_back(gates.narrow(1, inputs, hidden).contiguous().requires_grad_());
        const torch::Tensor b_all = torch::cat(biases);
        weights.push_back((form == Form::kCell ? b_all : b_all.unsqueeze(1)).contiguous().requires_grad_());
    }

    void run() {
        read_outs.clear();
        torch::Tensor h1 = start[0], c1 = start[1], h2 = start[2], c2 = start[3];
        for (std::int64_t t = 0; t < task.steps; ++t) {
            const torch::Tensor& input = x[static_cast<std::size_t>(t)];
            if (form == Form::kCell) {
                std::tie(h1, c1) =
                    at::lstm_cell(input, {h1, c1}, weights[0], weights[1], weights[2], none_bias);
                std::tie(h2, c2) = at::lstm_cell(h1, {h2, c2}, weights[3], weights[4], weights[5], none_bias);
                read_outs.push_back(torch::addmm(weights[7], h2, weights[6]).squeeze(1));
            } else {
                std::tie(h1, c1) = feature_major(input, h1, c1, 0);
                std::tie(h2, c2) = feature_major(h1, h2, c2, 3);
                read_outs.push_back(torch::addmm(weights[7].unsqueeze(1), weights[6].t(), h2).squeeze(0));
            }
        }
    }
    torch::Tensor none_bias;

    [[nodiscard]] std::tuple<torch::Tensor, torch::Tensor> feature_major(const torch::Tensor& in,
                                                                         const torch::Tensor& h,
                                                                         const torch::Tensor& c,
                                                                         std::size_t first) const {
        const std::int64_t hidden = task.hidden;
        const torch::Tensor z =
            torch::addmm(torch::addmm(weights[first + 2], weights[first], in), weights[first + 1], h);
        const torch::Tensor gates = torch::sigmoid(z.narrow(0, 0, 3 * hidden));
        const torch::Tensor i = gates.narrow(0, 0, hidden), f = gates.narrow(0, hidden, hidden),
                            o = gates.narrow(0, 2 * hidden, hidden);
        const torch::Tensor j = torch::tanh(z.narrow(0, 3 * hidden, hidden));
        torch::Tensor c_next = f * c + i * j;
        torch::Tensor h_next = o * torch::tanh(c_next);
        return {h_next, c_next};
    }
};

TorchLstm::TorchLstm(Form form, const LstmTask& task) : net_(std::make_unique<Net>()) {
    Net& net = *net_;
    net.form = form;
    net.task = task;
    net.none_bias = torch::zeros({4 * task.hidden});
    net.add_layer(task.w1, task.b1, task.inputs);
    net.add_layer(task.w2, task.b2, task.hidden);
    net.weights.push_back(
        torch::from_blob(const_cast<float*>(task.w), {task.hidden, 1}).clone().requires_grad_());
    net.weights.push_back(torch::from_blob(const_cast<float*>(task.b), {1}).clone().requires_grad_());
    const bool by_row = form == Form::kCell;
    for (std::int64_t t = 0; t < task.steps; ++t) {
        const auto x =
            torch::from_blob(const_cast<float*>(task.x) + t * task.inputs * task.n, {task.inputs, task.n});
        net.x.push_back(by_row ? x.t().contiguous() : x.clone());
        net.bar.push_back(torch::from_blob(const_cast<float*>(task.bar) + t * task.n, {task.n}).clone());
    }
    for (int i = 0; i < 4; ++i) {
        const auto state = torch::from_blob(const_cast<float*>(task.state) + i * task.n * task.hidden,
                                            {task.n, task.hidden});
        net.start.push_back(by_row ? state.clone() : state.t().contiguous());
    }
}
TorchLstm::~TorchLstm() = default;

void TorchLstm::forward() {
    const torch::NoGradGuard guard;
    net_->run();
}

void TorchLstm::train() {
    net_->run();
    net_->gradients = torch::autograd::grad(net_->read_outs, net_->weights, net_->bar);
}

std::vector<float> TorchLstm::read_outs() const {
    const torch::Tensor all = torch::stack(net_->read_outs).detach().contiguous();
    return {all.data_ptr<float>(), all.data_ptr<float>() + all.numel()};
}

std::vector<float> TorchLstm::weights_bar() const {
    std::vector<float> out;
    for (const std::size_t first : {0U, 3U}) {
        const torch::Tensor gates = torch::cat({net_->gradients[first], net_->gradients[first + 1]}, 1).t();
        std::vector<torch::Tensor> groups(4);
        for (std::size_t k = 0; k < 4; ++k)
            groups[static_cast<std::size_t>(net_->order()[k])] =
                gates.narrow(1, static_cast<std::int64_t>(k) * net_->task.hidden, net_->task.hidden);
        const torch::Tensor w = torch::cat(groups, 1).contiguous();
        out.insert(out.end(), w.data_ptr<float>(), w.data_ptr<float>() + w.numel());
    }
    return out;
}

void TorchLstm::set_threads(int threads) { at::set_num_threads(threads); }

}  // namespace l2o::bench
