"""The parts of an export: conversion, calibration, parity, closed loop, firmware files, model card."""
