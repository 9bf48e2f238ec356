# One library: what every build of a plugin has in common.
function(l2o_plugin_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH" "FOLDER" "SOURCES;LIBRARIES")
  # Of this folder, whatever folder calls: a variable of the including one is not seen by its siblings.
  set(version_script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE l2o::sdk ${arg_LIBRARIES})
  if(arg_TORCH)
    target_link_libraries(${target} PRIVATE l2o::torch)
  endif()
  foreach(said IN ITEMS LICENSE VENDOR)
    if(L2O_PLUGIN_${said})
      target_compile_definitions(${target} PRIVATE "L2O_PLUGIN_${said}=\"${L2O_PLUGIN_${said}}\"")
    endif()
  endforeach()
  # Nobody reads errno, and a sqrt that has to set it is never vectorised.
  target_compile_options(${target} PRIVATE -fno-math-errno)
  if(TARGET l2o_build_flags)
    target_link_libraries(${target} PRIVATE l2o_build_flags)
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX ".so"
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${version_script})
  if(arg_FOLDER)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${arg_FOLDER})
  endif()
  # nodelete: a plugin is never unmapped. build-id: what a manifest knows its library by; Clang gives none by itself.
  # -z defs breaks Clang's sanitizers, which leave symbols undefined.
  target_link_options(${target} PRIVATE
    -Wl,-z,nodelete -Wl,--build-id=sha1 -Wl,--version-script=${version_script})
  if(NOT L2O_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
endfunction()

# Writes the manifest of an installed plugin again: a library that is stripped, or given another RPATH, while it is
# installed is no longer the one that its manifest describes.
function(l2o_install_manifest target)
  # Not install(CODE) with generator expressions: whether those work is a policy of the folder that calls.
  set(script ${CMAKE_CURRENT_BINARY_DIR}/${target}.manifest)
  file(GENERATE OUTPUT ${script}.$<CONFIG>.cmake CONTENT
    "execute_process(COMMAND \"$<TARGET_FILE:l2o::manifest>\"
  \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/l2o/plugins/$<TARGET_FILE_NAME:${target}>\"
  COMMAND_ERROR_IS_FATAL ANY)
")
  install(CODE "include(\"${script}.\${CMAKE_INSTALL_CONFIG_NAME}.cmake\")")
endfunction()

# l2o_add_plugin(<optimizer|optimizee|loss> <name> SOURCES <file>... [LIBRARIES <target>...] [TORCH] [NO_TEST])
#
# Builds <name> as a plugin library l2o_<kind>_<name>.so with one exported symbol, and its manifest
# l2o_<kind>_<name>.l2o.json beside it, in lib/l2o/plugins of the build; both are installed to lib/l2o/plugins, where
# an l2o of the same prefix finds them. The manifest names the build of the library that it was written for. Inside the l2o tree the first source must be <name>.cpp and
# tests/plugins/<path>/test_<name>.cpp must exist: it becomes the CTest <kind>.<name>. NO_TEST is for the
# plugins that live inside a test, and are not installed.
#
# With L2O_X86_64_V4 on, a second build for processors with AVX-512 goes to the folder x86-64-v4 beside it, which the
# host loads in its place where it can.
function(l2o_add_plugin kind name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "TORCH;NO_TEST" "" "SOURCES;LIBRARIES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "l2o_add_plugin(${kind} ${name}): unknown argument '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT kind MATCHES "^(optimizer|optimizee|loss)$")
    message(FATAL_ERROR "l2o_add_plugin: kind is '${kind}'; expected optimizer, optimizee or loss")
  endif()
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "l2o_add_plugin(${kind} ${name}): SOURCES is missing")
  endif()
  if(arg_TORCH AND NOT TARGET l2o::torch)
    if(CMAKE_PROJECT_NAME STREQUAL "l2o")
      return()
    endif()
    message(FATAL_ERROR "l2o_add_plugin(${kind} ${name}): TORCH needs find_package(l2o CONFIG COMPONENTS torch)")
  endif()

  set(target l2o_${kind}_${name})
  set(torch)
  if(arg_TORCH)
    set(torch TORCH)
  endif()
  set(folder ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
  if(NOT folder AND NOT arg_NO_TEST)
    set(folder ${CMAKE_BINARY_DIR}/lib/l2o/plugins)
  endif()
  l2o_plugin_library(${target} ${torch} FOLDER ${folder} SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES})
  add_library(l2o::${kind}::${name} ALIAS ${target})
  add_custom_command(TARGET ${target} POST_BUILD
    COMMAND l2o::manifest $<TARGET_FILE:${target}>
    VERBATIM)
  if(NOT arg_NO_TEST)
    # A literal "lib", whatever GNUInstallDirs says: the program looks in ../lib/l2o/plugins.
    set_target_properties(${target} PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS ${target} LIBRARY DESTINATION lib/l2o/plugins)
    install(FILES $<TARGET_FILE_DIR:${target}>/${target}.l2o.json DESTINATION lib/l2o/plugins)
    # LibTorch picks its own kernels.
    if(L2O_X86_64_V4 AND NOT arg_TORCH)
      set(wide ${target}_x86-64-v4)
      l2o_plugin_library(${wide} FOLDER ${folder}/x86-64-v4 SOURCES ${arg_SOURCES} LIBRARIES ${arg_LIBRARIES})
      set_target_properties(${wide} PROPERTIES
        OUTPUT_NAME ${target} L2O_MARCH x86-64-v4 INSTALL_RPATH_USE_LINK_PATH ON)
      target_compile_options(${wide} PRIVATE -march=x86-64-v4)
      install(TARGETS ${wide} LIBRARY DESTINATION lib/l2o/plugins/x86-64-v4)
      # The manifest, which describes both, is written whenever the other one is linked.
      add_dependencies(${target} ${wide})
      set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS $<TARGET_FILE:${wide}>)
    endif()
    l2o_install_manifest(${target})
  endif()

  set_property(GLOBAL APPEND PROPERTY L2O_PLUGINS ${kind}.${name})
  if(L2O_BUILD_TESTS AND NOT arg_NO_TEST AND CMAKE_PROJECT_NAME STREQUAL "l2o")
    list(GET arg_SOURCES 0 first)
    if(NOT first STREQUAL "${name}.cpp")
      message(FATAL_ERROR "l2o_add_plugin(${kind} ${name}): the first source is '${first}'; expected ${name}.cpp")
    endif()
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/plugins ${CMAKE_CURRENT_SOURCE_DIR})
    set(test ${PROJECT_SOURCE_DIR}/tests/plugins/${folder}/test_${name}.cpp)
    if(NOT EXISTS ${test})
      message(FATAL_ERROR "plugin '${name}' has no test; write ${test}")
    endif()
    l2o_add_test(${kind}.${name} SOURCES ${test} LIBRARIES l2o_test_support)
    add_dependencies(test_${kind}.${name} ${target})
  endif()
endfunction()
