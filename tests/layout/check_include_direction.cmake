# cmake -DROOT=<source tree> -P check_include_direction.cmake
# Who may include what (see the README of this folder). Each rule lists what the code of a folder may include,
# as regular expressions of the whole name between the brackets; anything else is an error.
cmake_minimum_required(VERSION 3.25)

set(c99 "stdint[.]h|stddef[.]h")
set(std "[a-z_0-9]+")
set(system "[a-z_0-9]+|((sys|linux)/)?[a-z_0-9]+[.]h")
set(eigen "Eigen/[A-Za-z]+")
set(torch "(ATen|c10|torch)/.*")
set(json "nlohmann/json(_fwd)?[.]hpp")
set(fmt "fmt/[a-z]+[.]h")
set(sibling "[a-z_0-9]+[.]hpp")

set(failed 0)
set(files_seen 0)

# check(<folder> <allowed>... [EXCEPT <file>...]): EXCEPT files have a rule of their own.
function(check folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "EXCEPT")
  list(JOIN arg_UNPARSED_ARGUMENTS "|" allowed)
  if(folder MATCHES "[.](h|hpp|c|cpp)$")
    set(files ${ROOT}/${folder})
  else()
    file(GLOB_RECURSE files ${ROOT}/${folder}/*.h ${ROOT}/${folder}/*.hpp ${ROOT}/${folder}/*.c ${ROOT}/${folder}/*.cpp)
  endif()
  foreach(file IN LISTS files)
    file(RELATIVE_PATH name ${ROOT} ${file})
    if(name IN_LIST arg_EXCEPT)
      continue()
    endif()
    math(EXPR files_seen "${files_seen} + 1")
    set_property(GLOBAL APPEND PROPERTY ruled ${name})
    file(STRINGS ${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    foreach(line IN LISTS lines)
      string(REGEX REPLACE "^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]*)[>\"].*" "\\1" included "${line}")
      if(NOT included MATCHES "^(${allowed})$")
        message(SEND_ERROR "${name} includes ${included}; code in ${folder} may not (tests/layout/README.md)")
        math(EXPR failed "${failed} + 1")
      endif()
    endforeach()
  endforeach()
  set(failed ${failed} PARENT_SCOPE)
  set(files_seen ${files_seen} PARENT_SCOPE)
endfunction()

foreach(folder sdk/include/l2o/abi sdk/abi_history)
  check(${folder} "${c99}" "(base|call|loss|optimizee|optimizer|option|plugin|spec|status|tensor)[.]h")
endforeach()
check(sdk/include/l2o/c "(math|stdarg|stdint|stdio|stdlib|string)[.]h" "l2o/(abi|c)/[a-z]+[.]h")
check(sdk/include/l2o/sdk "${std}" "l2o/abi/[a-z]+[.]h" "l2o/sdk/[a-z_]+[.]hpp")
set(intrinsics sdk/include/l2o/numerics/marked.hpp)
check(sdk/include/l2o/numerics "${std}" "${eigen}" "l2o/numerics/[a-z_]+[.]hpp" EXCEPT ${intrinsics})
check(${intrinsics} "${std}" "immintrin[.]h")
check(sdk/include/l2o/layers "${std}" "l2o/(layers|numerics|sdk)/[a-z_]+[.]hpp")
check(sdk/include/l2o/nets "${std}" "${eigen}" "l2o/(layers|nets|numerics|sdk)/[a-z_]+[.]hpp")
check(sdk/include/l2o/files "${system}" "${json}" "l2o/(abi|files|sdk)/[a-z_]+[.]hp*")
check(sdk/numerics "l2o/numerics/[a-z_]+[.]hpp")
check(sdk/include/l2o/torch "${std}" "${torch}" "l2o/(abi|sdk|torch)/[a-z_]+[.]hp*")

# The floors of the framework, from the ground up: a folder sees what is below it, never what is beside or above.
set(framework "${system}" "${json}" "${fmt}" "l2o/abi/(draft/)?[a-z]+[.]h" "l2o/numerics/(philox|sum)[.]hpp"
  "l2o/files/json[.]hpp" "l2o/sdk/normalised[.]hpp" "framework/(error|cancel|float_control|progress)[.]hpp")
# floor(<folder> <folders below>... [ALSO <include>...] [EXCEPT <file>...])
function(floor folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "ALSO;EXCEPT")
  list(JOIN arg_UNPARSED_ARGUMENTS "|" below)
  set(own "framework/(${folder}|${below})/[a-z_]+[.]hpp")
  check(framework/${folder} ${framework} ${own} EXCEPT ${arg_EXCEPT})
  foreach(file also IN ZIP_LISTS arg_EXCEPT arg_ALSO)
    check(${file} ${framework} ${own} ${also})
  endforeach()
  set(failed ${failed} PARENT_SCOPE)
  set(files_seen ${files_seen} PARENT_SCOPE)
endfunction()
set(ground text tensor)
floor(text)
floor(tensor)
floor(store ${ground} EXCEPT framework/store/safetensors.cpp ALSO "l2o/files/safetensors[.]hpp")
floor(config ${ground} store EXCEPT framework/config/info_file.cpp ALSO "boost/property_tree/.*")
floor(plugin ${ground} store config EXCEPT framework/plugin/library.cpp ALSO "boost/dll/.*")
set(loaded ${ground} store config plugin)
floor(rollout ${loaded})
floor(weights ${loaded} rollout)
set(run ${loaded} rollout weights)
floor(train ${run} EXCEPT framework/train/covariance_search.hpp ALSO "l2o/numerics/cma[.]hpp")
floor(evaluate ${run} EXCEPT framework/evaluate/paired.cpp ALSO "boost/math/.*")
floor(solve ${run})
floor(check ${run} train)
floor(experiment ${run} train evaluate)
floor(export ${run} evaluate experiment)
floor(report ${run} evaluate experiment)
foreach(file error cancel float_control progress)
  check(framework/${file}.hpp ${framework})
endforeach()

# A plugin includes what its own family folder holds, by bare name: another family's header has a path.
set(plugin "${std}" "${eigen}" "l2o/(abi|abi/draft|sdk|numerics|layers|nets|files)/[a-z_]+[.]hp*"
  "${sibling}")
foreach(kind losses optimizees/convex optimizees/minimax optimizees/nonconvex optimizers)
  check(plugins/${kind} ${plugin})
endforeach()
check(plugins/optimizees/neural ${plugin} "${torch}" "l2o/torch/[a-z_]+[.]hpp" "boost/iostreams/.*")

check(host "${system}" "${json}" "${fmt}" "framework/.*[.]hpp" "host/.*[.]hpp" "boost/program_options/.*"
  "l2o/abi/[a-z]+[.]h" "l2o/numerics/philox[.]hpp")

check(examples/third_party "math[.]h" "coco[.]h" "${std}" "l2o/(c|sdk|numerics|layers|nets|torch)/[a-z_]+[.]hp*")

check(examples/embed "${std}" "framework/(error|solve/solver|store/safetensors)[.]hpp")

check(examples/paper "${system}" "${eigen}" "${fmt}" "l2o/numerics/[a-z_]+[.]hpp" "framework/(error|store/[a-z_]+)[.]hpp"
  "boost/program_options[.]hpp" "${sibling}")

# Tests see everything public, and plugins only through the ABI.
check(tests "${system}" "${eigen}" "${torch}" "${json}" "${fmt}" "doctest/doctest[.]h" "benchmark/benchmark[.]h"
  "l2o/.*" "framework/.*[.]hpp" "host/.*[.]hpp" "examples/.*[.]hpp" "tests/.*[.]hpp" "${sibling}" "[a-z_]+[.]h")

# No source without a rule, and none that these rules, the formatter and clang-tidy would pass over.
get_property(ruled GLOBAL PROPERTY ruled)
foreach(folder examples framework host plugins sdk tests)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${folder}/*)
  foreach(name IN LISTS files)
    if(name MATCHES "[.](h|hpp|c|cpp)$")
      if(NOT name IN_LIST ruled)
        get_filename_component(folder_of ${name} DIRECTORY)
        message(SEND_ERROR "${name} is in a folder without a rule; add what ${folder_of} may include to "
          "check_include_direction.cmake and to tests/layout/README.md")
      endif()
    elseif(name MATCHES "[.](c[+][+]|cc|cp|cxx|cppm|ixx|h[+][+]|hh|hxx|inc|inl|ipp|tcc|tpp|txx|cu|cuh|C|H)$")
      message(SEND_ERROR "${name} has an ending that no check of this tree reads; expected .hpp and .cpp, or "
        ".h and .c")
    endif()
  endforeach()
endforeach()

if(files_seen LESS 100)
  message(SEND_ERROR "saw ${files_seen} files under ${ROOT}; expected the whole tree")
endif()
message(STATUS "${files_seen} files, ${failed} wrong includes")
