# cmake -DROOT=<source tree> -DPART=sdk|framework|host -DCOMPILER=<c++> -DFLAGS="-I...;..." -DTORCH=0|1
#   -P check_headers_alone.cmake
# Compiles every header of this part as a file of its own, but those that the build compiles so: what the source beside a
# header includes first stands alone if the source compiles. Syntax only: templates are parsed, nothing is generated.
cmake_minimum_required(VERSION 3.25)
file(GLOB_RECURSE headers ${ROOT}/${PART}/*.h ${ROOT}/${PART}/*.hpp)
list(LENGTH headers count)
if(count LESS 5)
  message(SEND_ERROR "saw ${count} headers under ${ROOT}/${PART}; expected the whole tree")
endif()
set(compiled 0)
foreach(header IN LISTS headers)
  string(REGEX REPLACE "\\.hpp$" ".cpp" source ${header})
  if(EXISTS ${source})
    file(STRINGS ${source} includes REGEX "^#include")
    list(GET includes 0 first)
    file(RELATIVE_PATH name ${ROOT} ${header})
    if(first STREQUAL "#include \"${name}\"")
      continue()
    endif()
  endif()
  math(EXPR compiled "${compiled} + 1")
  if(header MATCHES "/l2o/torch/" AND NOT TORCH)
    continue()
  endif()
  # Through a file of its own: a header given to the compiler directly warns about '#pragma once'.
  execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only -Wall -Wextra -Werror -Wno-uninitialized
      -Wno-maybe-uninitialized ${FLAGS} -include ${header} -x c++ /dev/null
    RESULT_VARIABLE status ERROR_VARIABLE text OUTPUT_QUIET)
  if(NOT status EQUAL 0)
    message(SEND_ERROR "${header} does not compile alone:\n${text}")
  endif()
endforeach()
message(STATUS "${count} headers compile alone, ${compiled} of them tried here")
