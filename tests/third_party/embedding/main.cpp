#include <cstdio>

#include "framework/error.hpp"
#include "framework/plugin/catalog.hpp"

int main(int, char** argv) {
    using namespace l2o::framework;
    try {
        const Catalog catalog({argv[1]});
        const Component& adam = Catalog::load(catalog.find(Kind::kOptimizer, "adam"));
        std::printf("%s: %s\n", adam.table.id, adam.table.title);
        return adam.optimizer.step == nullptr ? 1 : 0;
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return static_cast<int>(error.code());
    }
}
