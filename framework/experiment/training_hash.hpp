#pragma once

#include <map>
#include <string>
#include <vector>

#include "framework/experiment/experiment.hpp"
#include "framework/store/content_hash.hpp"

namespace l2o::framework {

/// Names what the weights of a contestant depend on, with the content of every file and folder that is an
/// option (see content_hash()); equal hashes, equal weights. Left out is what cannot change a bit of them:
/// the number of threads, how often a checkpoint is written, and the memory budget (but for slices too large
/// for it, which are summed in another order); and the builds of the plugins, which are told when weights are
/// used, see training_builds().
/// @pre the contestant is to be trained.
/// @throw Error kIo, kUsage: a file cannot be read, a folder is too large.
[[nodiscard]] std::string training_hash(const Experiment& experiment,
                                        const Contestant& contestant,
                                        Contents& contents);

/// What is in the files and folders that an experiment names: see Experiment::files. @throw Error as above
[[nodiscard]] FileContents files_of(const Experiment& experiment, Contents& contents);

/// The builds of all plugins that a training runs, as add_build() names them.
[[nodiscard]] std::map<std::string, std::string> training_builds(const Contestant& contestant);

/// All plugins that an experiment runs; one that it names twice is there twice.
[[nodiscard]] std::vector<Catalog::Entry> plugins_of(const Experiment& experiment);

}  // namespace l2o::framework
