#pragma once

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <l2o/numerics/dense.hpp>
#include <l2o/numerics/lipschitz.hpp>
#include <l2o/numerics/philox.hpp>
#include <l2o/numerics/random_rows.hpp>
#include <l2o/sdk/optimizee.hpp>
#include <memory>
#include <mutex>
#include <string>

#include "measurement_files.hpp"

namespace l2o::plugins {

/// Where a measurement matrix A [m, n] and its instances come from: drawn,
///   A_ij ~ N(0, 1/m), columns scaled to norm 1, if asked for with other singular values before;
/// or from the files of a user.
class MeasurementModel {
  public:
    std::int64_t m = 0, n = 0;
    double condition_number = 0;
    std::string matrix_file, data_file;
    bool normalize = true;

    /// @param m_doc, n_doc  of the sizes, with what 0 stands for without a matrix.
    template <class Problem>
    static Options<Problem> options(const char* m_doc, const char* n_doc) {
        Options<Problem> options;
        options.integer("m", &Problem::m, m_doc, kNonNegative)
            .integer("n", &Problem::n, n_doc, kNonNegative)
            .real("condition_number",
                  &Problem::condition_number,
                  "K > 1: A is drawn, given singular values from 1 to 1/K that are evenly spaced in their "
                  "logarithm, and its columns are scaled; 0 or 1: as drawn",
                  kNonNegative)
            .path("matrix", &Problem::matrix_file, ".safetensors file with A [m, n], instead of a drawn one")
            .flag("normalize", &Problem::normalize, "scale the columns of the matrix to norm 1")
            .path("data",
                  &Problem::data_file,
                  ".safetensors file with the instances of the matrix: train.b, validation.b, test.b "
                  "[count, m] and, where x_star is the signal, train.x_star ... [count, n]; training goes "
                  "round the rows, shuffled by the seed in every pass");
        return options;
    }

  protected:
    MeasurementModel(std::int64_t default_m, std::int64_t default_n)
        : default_m_(default_m), default_n_(default_n) {}

    /// Reads the files and fixes m and n.
    /// @param dtype  of the problem.
    void open_files(std::int32_t dtype) {
        if (condition_number > 0 && condition_number < 1)
            invalid("condition_number is " + std::to_string(condition_number) + "; expected 0 or at least 1");
        if (matrix_file.empty()) {
            if (!data_file.empty())
                invalid("data has no matrix; set the option 'matrix' to the file with its A");
            if (!normalize) invalid("normalize is about a matrix from a file; set the option 'matrix'");
            if (m == 0) m = default_m_;
            if (n == 0) n = default_n_;
            return;
        }
        if (condition_number > 1)
            invalid("condition_number shapes a matrix that is drawn; leave it out beside 'matrix'");
        Eigen::MatrixXd a =
            dtype == L2O_DTYPE_F32 ? read_matrix<float>(matrix_file) : read_matrix<double>(matrix_file);
        const auto agree = [&](const char* name, std::int64_t& option, std::int64_t size, const char* what) {
            if (option != 0 && option != size)
                invalid(std::string(name) + " is " + std::to_string(option) + "; expected " +
                        std::to_string(size) + ", the " + what + " of A in '" + matrix_file +
                        "', or nothing");
            option = size;
        };
        agree("m", m, a.rows(), "rows");
        agree("n", n, a.cols(), "columns");
        if (normalize) normalize_columns(a);
        fixed_ = std::make_shared<const Eigen::MatrixXd>(std::move(a));
        if (!data_file.empty()) samples_ = std::make_shared<const SampleFile>(data_file);
    }

    /// The user's, or the one of the key: all splits share A, and every batch of a training asks for it.
    [[nodiscard]] std::shared_ptr<const Eigen::MatrixXd> matrix_of(const l2o_call& call) const {
        if (fixed_) return fixed_;
        const numerics::Key key{call.key[0], call.key[1]};
        const std::lock_guard lock(mutex_);
        if (!drawn_ || key != drawn_key_) {
            drawn_ = std::make_shared<const Eigen::MatrixXd>(draw_matrix(call));
            drawn_key_ = key;
        }
        return drawn_;
    }

    /// NULL: instances are drawn.
    [[nodiscard]] const SampleFile* samples() const { return samples_.get(); }

  private:
    void normalize_columns(Eigen::MatrixXd& a) const {
        // Powers of two for every column, so that its norm is a number, and the same for usual ones.
        const Eigen::RowVectorXd units = Eigen::RowVectorXd::NullaryExpr(
            a.cols(), [&](Eigen::Index j) { return numerics::unit_scale(a.col(j)); });
        a *= units.asDiagonal();
        const Eigen::RowVectorXd norms = a.colwise().norm().cwiseQuotient(units);
        Eigen::Index zero = 0;
        if (norms.minCoeff(&zero) == 0)
            unreadable(matrix_file + ": column " + std::to_string(zero) +
                       " of A is zero; expected columns that can be scaled, or set normalize to false");
        constexpr double kRounding = 1e-5;  // of float32 columns
        if (!data_file.empty() && (norms.array() - 1).abs().maxCoeff() > kRounding)
            invalid("the columns of A in '" + matrix_file + "' have norms from " +
                    std::to_string(norms.minCoeff()) + " to " + std::to_string(norms.maxCoeff()) +
                    ", and the instances of 'data' are of A as it is; set normalize to false");
        a.colwise().normalize();
    }

    /// The factor 1/m of the variance goes with the scaling.
    [[nodiscard]] Eigen::MatrixXd draw_matrix(const l2o_call& call) const {
        constexpr std::uint32_t kPurpose = 0x8000;  // below those of Draw::purpose, above those of starts
        numerics::RowMatrix<double> rows(m, n);
        numerics::fill_rows(View<double>{rows.data(), m, n, n}, call.key, 0, kPurpose, [](auto& draws) {
            return draws.normal();
        });
        if (condition_number > 1) set_singular_values(rows);
        Eigen::MatrixXd a = rows;
        a.colwise().normalize();
        return a;
    }

    /// The singular vectors stay; the values become logspace(0, -log10 condition_number), up to a factor.
    /// Source: the code of Chen, Liu, Wang & Yin 2018 (LISTA-CPSS), its option con_num.
    void set_singular_values(numerics::RowMatrix<double>& a) const {
        const Eigen::Index side = std::min(a.rows(), a.cols());
        if (side == 1) return;
        const numerics::RowMatrix<double> drawn = a;
        numerics::RowMatrix<double> gram = numerics::RowMatrix<double>::Zero(side, side);
        m <= n ? numerics::add_product_nt<double>(gram, 1, drawn, drawn)
               : numerics::add_product_tn<double>(gram, 1, drawn, drawn);
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> eigen(gram);
        Eigen::VectorXd scale = eigen.eigenvalues().cwiseSqrt().cwiseInverse();  // smallest value first
        for (Eigen::Index i = 0; i < side; ++i)
            scale(i) *= std::pow(condition_number, double(i - (side - 1)) / double(side - 1));
        const numerics::RowMatrix<double> u = eigen.eigenvectors(), scaled = u * scale.asDiagonal();
        gram.setZero();
        numerics::add_product_nt<double>(gram, 1, scaled, u);
        a.setZero();
        m <= n ? numerics::add_product<double>(a, 1, gram, drawn)
               : numerics::add_product<double>(a, 1, drawn, gram);
    }

    std::int64_t default_m_, default_n_;
    std::shared_ptr<const Eigen::MatrixXd> fixed_;
    std::shared_ptr<const SampleFile> samples_;

    mutable std::mutex mutex_;
    mutable numerics::Key drawn_key_{};
    mutable std::shared_ptr<const Eigen::MatrixXd> drawn_;
};

}  // namespace l2o::plugins
