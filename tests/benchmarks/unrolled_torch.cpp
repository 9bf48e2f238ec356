#include "tests/benchmarks/unrolled_torch.hpp"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cstdio>
#include <cstring>
#include <l2o/numerics/support_selection.hpp>

namespace l2o::bench {

struct TorchNet::Net {
    Kind kind;
    std::int64_t layers;
    std::map<std::string, torch::Tensor> tensors, gradients;

    [[nodiscard]] const torch::Tensor& of(const std::string& name) const { return tensors.at(name); }
    [[nodiscard]] const torch::Tensor& of_layer(std::int64_t k, const char* name) const {
        char text[64];
        std::snprintf(text, sizeof text, "layer.%02d.%s", static_cast<int>(k), name);
        return of(text);
    }

    static torch::Tensor soft_threshold(const torch::Tensor& z, const torch::Tensor& theta) {
        return torch::sign(z) * torch::relu(torch::abs(z) - theta);
    }
    static torch::Tensor support_selection(const torch::Tensor& z,
                                           const torch::Tensor& theta,
                                           std::int64_t k) {
        const torch::Tensor size = torch::abs(z.detach());
        const double percent = numerics::support_percent(k, 1.2, 13);
        const auto index =
            static_cast<std::int64_t>(numerics::support_index(static_cast<std::size_t>(z.size(1)), percent));
        const torch::Tensor bar = std::get<0>(torch::topk(size, index + 1, 1)).slice(1, index);
        const torch::Tensor selected = (size > bar).logical_and(size > theta.detach());
        return torch::where(selected, z, soft_threshold(z, theta));
    }

    [[nodiscard]] torch::Tensor forward(const torch::Tensor& b) const {
        return kind == Kind::kLista ? lista(b) : alista(b);
    }
    [[nodiscard]] torch::Tensor lista(const torch::Tensor& b) const {
        const torch::Tensor from_b = torch::mm(b, of("shared.B").t());
        torch::Tensor x = soft_threshold(from_b, of_layer(0, "theta"));
        for (std::int64_t k = 1; k < layers; ++k)
            x = soft_threshold(torch::addmm(from_b, x, of_layer(k, "S").t()), of_layer(k, "theta"));
        return x;
    }
    [[nodiscard]] torch::Tensor alista(const torch::Tensor& b) const {
        const torch::Tensor a_transposed = of("A").t();
        torch::Tensor x;
        for (std::int64_t k = 0; k < layers; ++k) {
            const torch::Tensor residual = k == 0 ? b : torch::addmm(b, x, a_transposed, 1, -1);
            const torch::Tensor u = of_layer(k, "gamma") * torch::mm(residual, of("const.W"));
            x = support_selection(k == 0 ? u : x + u, of_layer(k, "theta"), k);
        }
        return x;
    }
};

TorchNet::TorchNet(Kind kind, std::int64_t layers, const std::map<std::string, Array>& arrays)
    : net_(std::make_unique<Net>(Net{kind, layers, {}, {}})) {
    for (const auto& [name, array] : arrays) {
        torch::Tensor tensor =
            torch::from_blob(const_cast<float*>(array.values), array.shape, torch::kFloat32).clone();
        const bool is_learned = name.starts_with("layer.") || name.starts_with("shared.");
        net_->tensors.emplace(name, tensor.requires_grad_(is_learned));
    }
}
TorchNet::~TorchNet() = default;

double TorchNet::train() {
    const torch::Tensor x = net_->forward(net_->of("b"));
    const torch::Tensor loss =
        (x - net_->of("x_star")).square().sum() * (0.5 / static_cast<double>(x.size(0)));
    std::vector<std::string> names;
    std::vector<torch::Tensor> learned;
    for (const auto& [name, tensor] : net_->tensors) {
        if (!tensor.requires_grad()) continue;
        names.push_back(name);
        learned.push_back(tensor);
    }
    const std::vector<torch::Tensor> gradients = torch::autograd::grad({loss}, learned);
    for (std::size_t i = 0; i < names.size(); ++i) net_->gradients.insert_or_assign(names[i], gradients[i]);
    return loss.item<double>();
}

std::vector<float> TorchNet::gradient(const std::string& parameter) const {
    const torch::Tensor gradient = net_->gradients.at(parameter).contiguous();
    const float* values = gradient.data_ptr<float>();
    return {values, values + gradient.numel()};
}

void TorchNet::solve(const float* b, float* x) {
    const torch::InferenceMode guard;
    const torch::Tensor solution =
        net_->forward(torch::from_blob(const_cast<float*>(b), {1, net_->of("A").size(0)}, torch::kFloat32));
    std::memcpy(x, solution.data_ptr<float>(), static_cast<std::size_t>(solution.numel()) * sizeof(float));
}

void TorchNet::set_threads(int threads) { at::set_num_threads(threads); }

}  // namespace l2o::bench
