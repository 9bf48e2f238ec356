# cmake -DROOT=<source tree> -DCOPY=<folder to write> -P check_refusals.cmake
# What check_include_direction.cmake refuses, on a copy of the sources with one file more.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${COPY})
foreach(folder examples framework host plugins sdk tests)
  file(COPY ${ROOT}/${folder} DESTINATION ${COPY} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp" PATTERN "*.c" PATTERN "*.cpp")
endforeach()

# refused(<file> <content> <regular expression of what is said>)
function(refused name content text)
  file(WRITE ${COPY}/${name} "${content}\n")
  execute_process(COMMAND ${CMAKE_COMMAND} -DROOT=${COPY} -P ${CMAKE_CURRENT_LIST_DIR}/check_include_direction.cmake
    RESULT_VARIABLE status ERROR_VARIABLE found OUTPUT_QUIET)
  file(REMOVE ${COPY}/${name})
  string(REGEX REPLACE "[ \n]+" " " found "${found}")
  if(status EQUAL 0 OR NOT found MATCHES "${text}")
    message(SEND_ERROR "with ${name} the check ended with ${status} and said '${found}'; expected '${text}'")
  endif()
endfunction()

refused(framework/text/down.hpp "#include \"framework/plugin/catalog.hpp\""
  "framework/text/down.hpp includes framework/plugin/catalog.hpp; code in framework/text may not")
refused(framework/cloud/up.hpp "#include <string>" "framework/cloud/up.hpp is in a folder without a rule; add what framework/cloud may")
refused(framework/loose.cpp "#include <string>" "framework/loose.cpp is in a folder without a rule")
refused(sdk/include/l2o/gpu/lanes.hpp "#include <string>" "sdk/include/l2o/gpu/lanes.hpp is in a folder without a rule")
foreach(ending cc cxx C hh hxx inc inl ipp tpp txx cu cuh)
  refused(plugins/losses/hidden.${ending} "#include \"host/run.hpp\"" "hidden.${ending} has an ending that no check of this tree reads")
endforeach()
file(REMOVE_RECURSE ${COPY})
