# l2o::torch: the adapter to LibTorch (l2o/torch/*.hpp) with the LibTorch that find_package() finds.
find_package(Torch REQUIRED)
# The two libraries by file, not TORCH_LIBRARIES: those bring the flags, the include folders and the link options
# of LibTorch's own build (protobuf, glog, --no-as-needed, CUDA where it was built with it).
get_target_property(torch_cpu_library torch_cpu LOCATION)
get_target_property(torch_c10_library c10 LOCATION)
separate_arguments(torch_flags NATIVE_COMMAND "${TORCH_CXX_FLAGS}")
if(NOT TARGET l2o::torch)
  add_library(l2o::torch INTERFACE IMPORTED GLOBAL)
  target_include_directories(l2o::torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_compile_options(l2o::torch INTERFACE ${torch_flags})  # which std::string LibTorch was built with
  target_link_libraries(l2o::torch INTERFACE l2o::sdk ${torch_cpu_library} ${torch_c10_library})
endif()
