# SPDX-License-Identifier: Apache-2.0
"""What a build tool that declares inputs needs beside a cached run: Bazel's lists, and its status command."""
