#pragma once
int scale(int raw);
