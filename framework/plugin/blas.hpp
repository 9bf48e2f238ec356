#pragma once

namespace l2o::framework {

/// Work space of the BLAS that plugins link. OpenBLAS maps 128 MiB for every thread that multiplies at a
/// time, when it first does, and where the system refuses that (ulimit -v) it asks again for ever. Here the
/// work spaces are taken before; OpenBLAS keeps them. Where another BLAS is loaded, or none, nothing is done.
///
/// After a library was loaded: for one thread. [any thread]
/// @throw Error kUsage: there is not so much memory.
void take_blas_work_space();

/// For several threads, before they start. [any thread]
/// @return how many of them there is work space for, at least 1.
[[nodiscard]] int blas_threads(int threads);

}  // namespace l2o::framework
