# Installs the headers and the package for find_package(pixmim); the build tree serves as one too.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/pixmim)
configure_package_config_file(cmake/pixmimConfig.cmake.in ${PROJECT_BINARY_DIR}/pixmimConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pixmimConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
configure_file(cmake/PixmimTorch.cmake ${PROJECT_BINARY_DIR}/PixmimTorch.cmake COPYONLY)
configure_file(cmake/PixmimCuda.cmake ${PROJECT_BINARY_DIR}/PixmimCuda.cmake COPYONLY)

install(DIRECTORY include/pixmim DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${kernel_sources} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pixmim/detail/cuda)
install(TARGETS pixmim EXPORT pixmimTargets)
install(EXPORT pixmimTargets NAMESPACE pixmim:: DESTINATION ${package_dir})
export(EXPORT pixmimTargets NAMESPACE pixmim:: FILE ${PROJECT_BINARY_DIR}/pixmimTargets.cmake)
install(FILES
  ${PROJECT_BINARY_DIR}/pixmimConfig.cmake
  ${PROJECT_BINARY_DIR}/pixmimConfigVersion.cmake
  ${PROJECT_BINARY_DIR}/PixmimTorch.cmake
  ${PROJECT_BINARY_DIR}/PixmimCuda.cmake
  DESTINATION ${package_dir})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
