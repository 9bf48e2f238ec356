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

check(sdk/include/l2o/abi "${c99}" "(base|call|loss|optimizee|optimizer|option|plugin|spec|status|tensor)[.]h")
check(sdk/include/l2o/c "(math|stdarg|stdint|stdio|stdlib|string)[.]h" "l2o/(abi|c)/[a-z]+[.]h")
check(sdk/include/l2o/sdk "${std}" "l2o/abi/[a-z]+[.]h" "l2o/sdk/[a-z_]+[.]hpp")
check(sdk/include/l2o/numerics "${std}" "${eigen}" "l2o/numerics/[a-z_]+[.]hpp")
check(sdk/include/l2o/layers "${std}" "l2o/(layers|numerics|sdk)/[a-z_]+[.]hpp")
check(sdk/include/l2o/nets "${std}" "${eigen}" "l2o/(layers|nets|numerics|sdk)/[a-z_]+[.]hpp")
check(sdk/include/l2o/files "${system}" "${json}" "l2o/(abi|files|sdk)/[a-z_]+[.]hp*")
check(sdk/include/l2o/torch "${std}" "${torch}" "l2o/(abi|sdk|torch)/[a-z_]+[.]hp*")

set(framework "${system}" "${json}" "${fmt}" "l2o/abi/[a-z]+[.]h" "l2o/numerics/(philox|sum)[.]hpp"
  "l2o/files/json[.]hpp" "l2o/sdk/normalised[.]hpp" "framework/.*[.]hpp")
check(framework ${framework}
  EXCEPT framework/plugin/library.cpp framework/config/info_file.cpp framework/evaluate/paired.cpp
    framework/store/safetensors.cpp)
check(framework/plugin/library.cpp ${framework} "boost/dll/.*")
check(framework/config/info_file.cpp ${framework} "boost/property_tree/.*")
check(framework/evaluate/paired.cpp ${framework} "boost/math/.*")
check(framework/store/safetensors.cpp ${framework} "l2o/files/safetensors[.]hpp")

# A plugin includes what its own family folder holds, by bare name: another family's header has a path.
set(plugin "${std}" "${eigen}" "l2o/(abi|sdk|numerics|layers|nets|files)/[a-z_]+[.]hp*" "${sibling}")
foreach(kind losses optimizees/convex optimizees/minimax optimizees/nonconvex optimizers)
  check(plugins/${kind} ${plugin})
endforeach()
check(plugins/optimizees/neural ${plugin} "${torch}" "l2o/torch/[a-z_]+[.]hpp" "boost/iostreams/.*")

check(host "${system}" "${json}" "${fmt}" "framework/.*[.]hpp" "host/.*[.]hpp" "boost/program_options/.*"
  "l2o/abi/[a-z]+[.]h" "l2o/numerics/philox[.]hpp")

check(examples/third_party "math[.]h" "${std}" "l2o/(c|sdk|numerics|layers|nets|torch)/[a-z_]+[.]hp*")

check(examples/paper "${system}" "${eigen}" "${fmt}" "l2o/numerics/[a-z_]+[.]hpp" "framework/(error|store/[a-z_]+)[.]hpp"
  "boost/program_options[.]hpp" "${sibling}")

# Tests see everything public, and plugins only through the ABI.
check(tests "${system}" "${eigen}" "${torch}" "${json}" "${fmt}" "doctest/doctest[.]h" "benchmark/benchmark[.]h"
  "l2o/.*" "framework/.*[.]hpp" "host/.*[.]hpp" "examples/.*[.]hpp" "tests/.*[.]hpp" "${sibling}" "[a-z_]+[.]h")

if(files_seen LESS 100)
  message(SEND_ERROR "saw ${files_seen} files under ${ROOT}; expected the whole tree")
endif()
message(STATUS "${files_seen} files, ${failed} wrong includes")
